"""How many messages of a queue may be in flight: an error on a standard queue, none on FIFO.

These tests ask for the fixture `five_in_flight`, in which whoever holds a broker to them has it
lend five messages of a queue at once where it would lend 120,000. Without it they are left out.
"""

from collections.abc import Callable

import pytest

from taskflow.broker import Broker, Finish
from taskflow.broker.settings import Sent
from taskflow.errors import OverLimit
from taskflow.message import Delivery, Message
from taskflow.testing import ManualClock
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *
from taskflow.testing.contract.needs import needs, skip

Send = Callable[..., list[Sent]]
Take = Callable[..., list[Delivery]]
Put = Callable[..., None]
Get = Callable[..., list[Delivery]]


@pytest.fixture
def few_in_flight(request: pytest.FixtureRequest) -> None:
    """Asks for `five_in_flight`, and leaves the test out where there is none."""
    try:
        request.getfixturevalue("five_in_flight")
    except pytest.FixtureLookupError:
        skip(request, ["the fixture five_in_flight"])


def free_by_delete(broker: Broker, held: list[Delivery]) -> int:
    return sum(broker.delete([Finish(one) for one in held[:2]]))


def free_by_giving_back(broker: Broker, held: list[Delivery]) -> int:
    return sum(broker.give_back(held[:2]))


def free_by_lease_end(broker: Broker, held: list[Delivery]) -> int:
    assert isinstance(broker.clock, ManualClock)
    broker.change_visibility([(one, 5) for one in held[:2]])
    broker.clock.advance(5)
    return 2


FEW = pytest.mark.usefixtures("few_in_flight")
FREE = pytest.mark.parametrize("free", [free_by_delete, free_by_giving_back, free_by_lease_end])
Free = Callable[[Broker, list[Delivery]], int]


@FEW
def test_a_standard_queue_lends_so_many_and_then_refuses(
    broker: Broker, put: Put, get: Get
) -> None:
    put(*"1234567")
    assert len(get(limit=3)) == 3
    assert len(get(limit=10)) == 2
    with pytest.raises(OverLimit, match="5 messages in flight"):
        get()
    assert broker.counts("work").in_flight == 5


@FEW
def test_delayed_messages_are_not_in_flight(put: Put, get: Get) -> None:
    put(*"abcdef", delay=100)
    put(*"12345")
    assert len(get()) == 5


@FEW
def test_a_full_queue_with_nothing_due_is_empty(put: Put, get: Get) -> None:
    put(*"12345")
    assert len(get()) == 5
    assert get() == []


@FEW
@FREE
def test_a_standard_queue_lends_again_when_there_is_room(
    broker: Broker, put: Put, get: Get, free: Free
) -> None:
    put(*"123456789")
    held = get()
    with pytest.raises(OverLimit):
        get()
    assert free(broker, held) == 2
    assert len(get()) == 2
    with pytest.raises(OverLimit):
        get()


@needs("fifo")
@FEW
@FREE
def test_a_fifo_queue_has_nothing_to_lend_until_there_is_room(
    broker: Broker, send: Send, take: Take, free: Free
) -> None:
    send(*[f"{group}1" for group in "abcdefgh"])
    held = take()
    assert len(held) == 5
    assert take() == []
    assert free(broker, held) == 2
    assert len(take()) == 2
    assert take() == []


@needs("fifo")
@FEW
def test_the_limit_counts_within_a_group_too(send: Send, take: Take) -> None:
    send(*[f"a{number}" for number in range(8)])
    assert [one.id for one in take()] == ["a0", "a1", "a2", "a3", "a4"]


@FEW
def test_queues_have_room_apart(broker: Broker, put: Put, get: Get) -> None:
    broker.create_queue("other")
    broker.send("other", [Message("1", "x")])
    put(*"1234567")
    get()
    assert len(broker.receive("other")) == 1


@FEW
def test_other_processes_count_too(broker: Broker, put: Put, get: Get) -> None:
    """Whoever has used up the room it knew of counts again."""
    put(*"123456")
    held = get(limit=4)
    broker.delete([Finish(one) for one in held])
    assert len(get()) == 2


__all__ = collected(globals())
