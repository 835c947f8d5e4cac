"""Messages whose last holder ended without a word: lent alone, last, and before others starve."""

from collections.abc import Callable

import pytest

from taskflow.broker import Broker, QueueSettings
from taskflow.broker.settings import Finish, Holding
from taskflow.message import Delivery, Message
from taskflow.testing import ManualClock

Lapse = Callable[..., list[str]]
NOTHING = Holding()

silent = pytest.mark.differs("aws", "SQS does not tell how a lease ended")


@pytest.fixture(params=["work", "work.fifo"])
def queue(request: pytest.FixtureRequest, broker: Broker) -> str:
    name: str = request.param
    broker.create_queue(name)
    return name


def send(broker: Broker, queue: str, *ids: str, group: str | None = None) -> None:
    fifo = queue.endswith(".fifo")
    broker.send(
        queue,
        [
            Message(id, "x", group=group or id, deduplication_id=id) if fifo else Message(id, "x")
            for id in ids
        ],
    )


def ids(found: list[Delivery]) -> list[str]:
    return [one.id for one in found]


@pytest.fixture
def lapse(broker: Broker, clock: ManualClock, queue: str) -> Lapse:
    """Receive one message as a worker with nothing else in hand, and let its lease end."""

    def lapse() -> list[str]:
        found = broker.receive(queue, holding=NOTHING)
        clock.advance(31)
        return ids(found)

    return lapse


@silent
def test_who_was_alone_in_a_silent_worker_is_a_suspect(
    broker: Broker, queue: str, lapse: Lapse
) -> None:
    send(broker, queue, "1")
    assert lapse() == ["1"]
    (again,) = broker.receive(queue, holding=NOTHING)
    assert again.suspect
    assert again.receive_count == 2


@silent
def test_a_suspect_is_lent_alone_and_not_beside_another(
    broker: Broker, queue: str, lapse: Lapse
) -> None:
    send(broker, queue, "1")
    lapse()
    send(broker, queue, "2", "3")
    assert ids(broker.receive(queue, limit=10, holding=NOTHING)) == ["1"]
    rest = broker.receive(queue, limit=10, holding=Holding(1, 1))
    assert (ids(rest), [one.suspect for one in rest]) == (["2", "3"], [False, False])


@silent
def test_no_second_suspect_comes_to_who_has_one(
    broker: Broker, clock: ManualClock, queue: str
) -> None:
    send(broker, queue, "1", "2")
    for _ in range(2):
        broker.receive(queue, holding=NOTHING)
    clock.advance(31)
    assert ids(broker.receive(queue, limit=10, holding=NOTHING)) == ["1"]
    assert broker.receive(queue, limit=10, holding=Holding(1, 1)) == []
    assert ids(broker.receive(queue, limit=10, holding=NOTHING)) == ["2"]  # another worker


@silent
def test_who_only_waited_beside_another_burns_no_attempt(
    broker: Broker, clock: ManualClock, queue: str
) -> None:
    send(broker, queue, "1", "2", "3")
    assert ids(broker.receive(queue, limit=3, holding=NOTHING)) == ["1", "2", "3"]
    clock.advance(31)
    counts = [broker.receive(queue, holding=NOTHING)[0].receive_count for _ in range(3)]
    assert counts == [1, 1, 1]


@pytest.mark.parametrize("how", ["give back", "hide", "delete"])
def test_who_was_spoken_of_is_no_suspect(
    broker: Broker, clock: ManualClock, queue: str, how: str
) -> None:
    send(broker, queue, "1")
    (found,) = broker.receive(queue, holding=NOTHING)
    if how == "give back":
        broker.give_back([found])
    elif how == "hide":
        broker.change_visibility([(found, 5.0)])
    else:
        broker.delete([Finish(found)])
        send(broker, queue, "2")
    clock.advance(6)
    (again,) = broker.receive(queue, holding=NOTHING)
    assert not again.suspect


@silent
def test_a_lease_that_was_extended_and_then_ended_makes_a_suspect(
    broker: Broker, clock: ManualClock, queue: str
) -> None:
    send(broker, queue, "1")
    (found,) = broker.receive(queue, holding=NOTHING)
    broker.extend([(found, 60.0)])
    clock.advance(61)
    assert broker.receive(queue, holding=NOTHING)[0].suspect


@silent
def test_the_group_of_a_suspect_waits_and_others_do_not(broker: Broker, clock: ManualClock) -> None:
    broker.create_queue("work.fifo")
    send(broker, "work.fifo", "a1", "a2", group="a")
    broker.receive("work.fifo", holding=NOTHING)
    clock.advance(31)
    send(broker, "work.fifo", "b1", group="b")
    assert ids(broker.receive("work.fifo", limit=10, holding=Holding(1, 1))) == ["b1"]
    assert ids(broker.receive("work.fifo", limit=10, holding=NOTHING)) == ["a1"]


def test_a_suspect_that_kills_again_and_again_becomes_a_dead_letter(
    broker: Broker, clock: ManualClock
) -> None:
    broker.create_queue("dead")
    broker.create_queue("work", QueueSettings(dead_letter_queue="dead", max_receives=3))
    send(broker, "work", "killer")
    starts = 0
    for _ in range(10):
        starts += len(broker.receive("work", holding=NOTHING))
        clock.advance(31)
    assert starts <= 5
    assert ids(broker.peek("dead")) == ["killer"]


def test_without_holding_nothing_is_suspected(broker: Broker, clock: ManualClock) -> None:
    """As SQS lends, and the wire server."""
    broker.create_queue("work")
    send(broker, "work", "1", "2")
    broker.receive("work", limit=2)
    clock.advance(31)
    again = broker.receive("work", limit=2)
    assert [(one.suspect, one.receive_count) for one in again] == [(False, 2), (False, 2)]
