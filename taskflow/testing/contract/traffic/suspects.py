"""Messages whose last holder ended without a word: lent alone, last, and before others starve."""

from collections.abc import Callable

import pytest

from taskflow.broker import Broker, QueueSettings
from taskflow.broker.settings import Finish, Holding
from taskflow.message import Delivery, Message
from taskflow.testing import ManualClock
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *
from taskflow.testing.contract.needs import needs

Lapse = Callable[..., list[str]]
NOTHING = Holding()


@pytest.fixture(params=["work", pytest.param("work.fifo", marks=needs("fifo"))])
def either(request: pytest.FixtureRequest, broker: Broker) -> str:
    """A standard queue, and a FIFO one."""
    name: str = request.param
    broker.create_queue(name)
    return name


def send_to(broker: Broker, either: str, *ids: str, group: str | None = None) -> None:
    fifo = either.endswith(".fifo")
    broker.send(
        either,
        [
            Message(id, "x", group=group or id, deduplication_id=id) if fifo else Message(id, "x")
            for id in ids
        ],
    )


def ids(found: list[Delivery]) -> list[str]:
    return [one.id for one in found]


@pytest.fixture
def lapse(broker: Broker, clock: ManualClock, either: str) -> Lapse:
    """Receive one message as a worker with nothing else in hand, and let its lease end."""

    def lapse() -> list[str]:
        found = broker.receive(either, holding=NOTHING)
        clock.advance(31)
        return ids(found)

    return lapse


@needs("suspects")
def test_who_was_alone_in_a_silent_worker_is_a_suspect(
    broker: Broker, either: str, lapse: Lapse
) -> None:
    send_to(broker, either, "1")
    assert lapse() == ["1"]
    (again,) = broker.receive(either, holding=NOTHING)
    assert again.suspect
    assert again.receive_count == 2


@needs("suspects")
def test_a_suspect_is_lent_alone_and_not_beside_another(
    broker: Broker, either: str, lapse: Lapse
) -> None:
    send_to(broker, either, "1")
    lapse()
    send_to(broker, either, "2", "3")
    assert ids(broker.receive(either, limit=10, holding=NOTHING)) == ["1"]
    rest = broker.receive(either, limit=10, holding=Holding(1, 1))
    assert (ids(rest), [one.suspect for one in rest]) == (["2", "3"], [False, False])


@needs("suspects")
def test_no_second_suspect_comes_to_who_has_one(
    broker: Broker, clock: ManualClock, either: str
) -> None:
    send_to(broker, either, "1", "2")
    for _ in range(2):
        broker.receive(either, holding=NOTHING)
    clock.advance(31)
    assert ids(broker.receive(either, limit=10, holding=NOTHING)) == ["1"]
    assert broker.receive(either, limit=10, holding=Holding(1, 1)) == []
    assert ids(broker.receive(either, limit=10, holding=NOTHING)) == ["2"]  # another worker


@needs("suspects")
def test_who_only_waited_beside_another_burns_no_attempt(
    broker: Broker, clock: ManualClock, either: str
) -> None:
    send_to(broker, either, "1", "2", "3")
    assert ids(broker.receive(either, limit=3, holding=NOTHING)) == ["1", "2", "3"]
    clock.advance(31)
    counts = [broker.receive(either, holding=NOTHING)[0].receive_count for _ in range(3)]
    assert counts == [1, 1, 1]


@needs("suspects")
def test_bystanders_come_back_together_once(broker: Broker, clock: ManualClock) -> None:
    broker.create_queue("work")
    send_to(broker, "work", "1", "2", "3")
    broker.receive("work", limit=3, holding=NOTHING)
    clock.advance(31)
    together = broker.receive("work", limit=10, holding=NOTHING)
    assert [(one.id, one.suspect, one.receive_count) for one in together] == [
        ("1", False, 1),
        ("2", False, 1),
        ("3", False, 1),
    ]
    clock.advance(31)
    for number in range(3):
        (alone,) = broker.receive("work", limit=10, holding=NOTHING)
        assert (alone.id, alone.suspect, alone.receive_count) == (str(number + 1), True, 1)


@needs("suspects")
def test_a_bystander_that_is_left_alone_is_a_suspect(broker: Broker, clock: ManualClock) -> None:
    broker.create_queue("work")
    send_to(broker, "work", "1", "2")
    one, _ = broker.receive("work", limit=2, holding=NOTHING)
    broker.delete([Finish(one)])
    clock.advance(31)
    (alone,) = broker.receive("work", limit=10, holding=NOTHING)
    assert (alone.suspect, alone.receive_count) == (True, 1)
    clock.advance(31)
    (again,) = broker.receive("work", limit=10, holding=NOTHING)
    assert (again.suspect, again.receive_count) == (True, 2)


@needs("suspects")
def test_bystanders_come_beside_a_suspect_and_beside_others(
    broker: Broker, clock: ManualClock
) -> None:
    broker.create_queue("work")
    send_to(broker, "work", "1", "2", "3")
    broker.receive("work", holding=NOTHING)
    broker.receive("work", limit=2, holding=Holding(1))
    clock.advance(31)
    (suspect,) = broker.receive("work", limit=10, holding=NOTHING)
    assert (suspect.id, suspect.suspect) == ("1", True)
    rest = broker.receive("work", limit=10, holding=Holding(1, 1))
    assert [(one.id, one.suspect) for one in rest] == [("2", False), ("3", False)]
    clock.advance(31)
    assert broker.receive("work", limit=10, holding=Holding(1, 1)) == []


@needs("fifo")
@needs("suspects")
def test_groups_of_a_fifo_queue_come_back_one_by_one(broker: Broker, clock: ManualClock) -> None:
    broker.create_queue("work.fifo")
    send_to(broker, "work.fifo", "1", "2")
    broker.receive("work.fifo", limit=2, holding=NOTHING)
    clock.advance(31)
    for number in range(2):
        (alone,) = broker.receive("work.fifo", limit=10, holding=NOTHING)
        assert (alone.id, alone.suspect, alone.receive_count) == (str(number + 1), True, 1)


@pytest.mark.parametrize("how", ["give back", "hide", "delete"])
def test_who_was_spoken_of_is_no_suspect(
    broker: Broker, clock: ManualClock, either: str, how: str
) -> None:
    send_to(broker, either, "1")
    (found,) = broker.receive(either, holding=NOTHING)
    if how == "give back":
        broker.give_back([found])
    elif how == "hide":
        broker.change_visibility([(found, 5.0)])
    else:
        broker.delete([Finish(found)])
        send_to(broker, either, "2")
    clock.advance(6)
    (again,) = broker.receive(either, holding=NOTHING)
    assert not again.suspect


@needs("suspects")
def test_a_lease_that_was_extended_and_then_ended_makes_a_suspect(
    broker: Broker, clock: ManualClock, either: str
) -> None:
    send_to(broker, either, "1")
    (found,) = broker.receive(either, holding=NOTHING)
    broker.extend([(found, 60.0)])
    clock.advance(61)
    assert broker.receive(either, holding=NOTHING)[0].suspect


@needs("fifo")
@needs("suspects")
def test_the_group_of_a_suspect_waits_and_others_do_not(broker: Broker, clock: ManualClock) -> None:
    broker.create_queue("work.fifo")
    send_to(broker, "work.fifo", "a1", "a2", group="a")
    broker.receive("work.fifo", holding=NOTHING)
    clock.advance(31)
    send_to(broker, "work.fifo", "b1", group="b")
    assert ids(broker.receive("work.fifo", limit=10, holding=Holding(1, 1))) == ["b1"]
    assert ids(broker.receive("work.fifo", limit=10, holding=NOTHING)) == ["a1"]


@needs("dead_letters")
def test_a_suspect_that_kills_again_and_again_becomes_a_dead_letter(
    broker: Broker, clock: ManualClock
) -> None:
    broker.create_queue("dead")
    broker.create_queue("work", QueueSettings(dead_letter_queue="dead", max_receives=3))
    send_to(broker, "work", "killer")
    starts = 0
    for _ in range(10):
        starts += len(broker.receive("work", holding=NOTHING))
        clock.advance(31)
    assert starts <= 5
    assert ids(broker.peek("dead")) == ["killer"]


def test_without_holding_nothing_is_suspected(broker: Broker, clock: ManualClock) -> None:
    """As SQS lends, and the wire server."""
    broker.create_queue("work")
    send_to(broker, "work", "1", "2")
    broker.receive("work", limit=2)
    clock.advance(31)
    again = broker.receive("work", limit=2)
    assert [(one.suspect, one.receive_count) for one in again] == [(False, 2), (False, 2)]


__all__ = collected(globals())
