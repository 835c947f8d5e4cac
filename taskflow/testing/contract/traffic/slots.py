"""Slots: how many messages of one are held at once, and how many start in a second."""

from collections.abc import Callable
from concurrent.futures import Future

import pytest

from taskflow.broker import Broker, Finish
from taskflow.broker.change import Change, GiveBack
from taskflow.broker.settings import Holding, Limit
from taskflow.errors import LimitExceeded
from taskflow.message import Delivery, Message
from taskflow.testing import ManualClock
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *
from taskflow.testing.contract.needs import needs

TWO = Holding(limits={"pay": Limit(most=2)})
FillSlot = Callable[..., None]


@pytest.fixture
def fill_slot(broker: Broker, queue: str, clock: ManualClock) -> FillSlot:
    """Send messages of a slot, each a second after the other."""

    def fill_slot(*ids: str, slot: str | None = "pay", **more: object) -> None:
        for id in ids:
            broker.send(queue, [Message(id, "x", slot=slot, **more)])  # type: ignore[arg-type]
            clock.advance(1)

    return fill_slot


def ids(found: list[Delivery]) -> list[str]:
    return [one.id for one in found]


def take(broker: Broker, limit: int = 10, holding: Holding = TWO) -> list[Delivery]:
    return broker.receive("work", limit=limit, holding=holding)


def test_no_more_than_that_are_held_at_once(broker: Broker, fill_slot: FillSlot) -> None:
    fill_slot(*"12345")
    assert ids(take(broker)) == ["1", "2"]
    assert take(broker) == []


def test_what_waits_for_a_slot_holds_nobody_else_back(broker: Broker, fill_slot: FillSlot) -> None:
    fill_slot(*"1234")
    fill_slot("a", slot=None)
    fill_slot("b", slot="mail")
    fill_slot("c", slot="pay\nother key")
    assert ids(take(broker)) == ["1", "2", "a", "b", "c"]


def test_each_key_of_a_limit_has_its_own_slots(broker: Broker, fill_slot: FillSlot) -> None:
    fill_slot("a1", "a2", "a3", slot="pay\na")
    fill_slot("b1", "b2", "b3", slot="pay\nb")
    assert ids(take(broker)) == ["a1", "a2", "b1", "b2"]


def acknowledge(broker: Broker, held: Delivery) -> None:
    assert broker.delete([Finish(held)]) == [True]


def put_off(broker: Broker, held: Delivery) -> None:
    assert broker.change_visibility([(held, 1000)]) == [True]


def bury(broker: Broker, held: Delivery) -> None:
    assert broker.dead_letter([(held, "{}")]) == [True]


def acknowledge_in_a_change(broker: Broker, held: Delivery) -> None:
    broker.apply([Change(settlements=[Finish(held)])])[0].or_raise()


ENDS = pytest.mark.parametrize(
    "end", [acknowledge, put_off, pytest.param(bury, marks=needs("dead_letters"))]
)


@ENDS
def test_when_one_ends_the_next_may_start(
    broker: Broker, fill_slot: FillSlot, end: Callable[[Broker, Delivery], None]
) -> None:
    fill_slot(*"12345")
    held = take(broker)
    assert take(broker) == []
    end(broker, held[0])
    assert ids(take(broker)) == ["3"]
    assert take(broker) == []


@ENDS
def test_who_waits_is_woken_when_one_ends(
    broker: Broker,
    fill_slot: FillSlot,
    poll: Callable[..., Future[list[Delivery]]],
    end: Callable[[Broker, Delivery], None],
) -> None:
    fill_slot(*"123")
    held = take(broker)
    waiting = poll("work", holding=TWO)
    end(broker, held[1])
    assert ids(waiting.result(10)) == ["3"]


@needs("atomic")
def test_when_one_ends_in_a_change_the_next_may_start(broker: Broker, fill_slot: FillSlot) -> None:
    fill_slot(*"1234")
    held = take(broker)
    take(broker)
    for one in held:
        acknowledge_in_a_change(broker, one)
    assert ids(take(broker)) == ["3", "4"]


def test_one_given_back_takes_its_turn_again(broker: Broker, fill_slot: FillSlot) -> None:
    fill_slot(*"1234")
    held = take(broker)
    take(broker)
    broker.give_back(held[:1])
    assert len(take(broker)) == 1
    assert take(broker) == []


@pytest.mark.parametrize("slots", [["pay"] * 9, [f"pay\n{at % 3}" for at in range(9)]])
def test_a_lease_that_ends_frees_its_slot(
    broker: Broker, fill_slot: FillSlot, clock: ManualClock, slots: list[str]
) -> None:
    """As when a worker dies: nothing of it is told."""
    for at, slot in enumerate(slots):
        fill_slot(str(at), slot=slot)
    seen = []
    for _ in range(40):
        for one in take(broker, limit=10):
            seen.append(one.id)
            broker.delete([Finish(one)])
        found = take(broker, limit=1)
        seen += ids(found)
        clock.advance(31)
        if not broker.counts("work").visible:
            break
    assert set(seen) == {str(at) for at in range(9)}


def test_those_that_waited_come_before_those_sent_since(
    broker: Broker, fill_slot: FillSlot
) -> None:
    fill_slot(*"1234")
    held = take(broker)
    take(broker)
    fill_slot(*"56")
    broker.delete([Finish(one) for one in held])
    assert ids(take(broker)) == ["3", "4"]


def test_who_knows_no_limits_is_not_limited(broker: Broker, fill_slot: FillSlot) -> None:
    fill_slot(*"12345")
    assert len(broker.receive("work", limit=10, holding=Holding())) == 5


@needs("repairs")
def test_what_waits_is_counted_as_waiting_and_can_be_seen(
    broker: Broker, fill_slot: FillSlot
) -> None:
    fill_slot(*"12345")
    take(broker)
    counts = broker.counts("work")
    assert (counts.visible, counts.in_flight, counts.delayed) == (3, 2, 0)
    assert ids(broker.peek("work")) == list("12345")
    assert broker.purge("work") == 5


@needs("repairs")
def test_a_purge_of_what_is_held_lets_the_others_start(broker: Broker, fill_slot: FillSlot) -> None:
    fill_slot(*"1234")
    held = take(broker)
    take(broker)
    broker.purge("work", ids=ids(held))
    assert ids(take(broker)) == ["3", "4"]


@needs("coordination")
def test_upkeep_looks_again_when_more_are_allowed(broker: Broker, fill_slot: FillSlot) -> None:
    fill_slot(*"12345")
    take(broker)
    take(broker)
    more = Holding(limits={"pay": Limit(most=4)})
    found = []
    for _ in range(2):
        broker.upkeep()
        found += ids(take(broker, holding=more))
    assert found == ["3", "4"]


@needs("coordination")
def test_upkeep_wakes_who_waits(
    broker: Broker, fill_slot: FillSlot, poll: Callable[..., Future[list[Delivery]]]
) -> None:
    fill_slot(*"123")
    take(broker)
    take(broker)
    waiting = poll("work", holding=Holding())
    broker.upkeep()
    assert ids(waiting.result(10)) == ["3"]


def test_a_rate_spreads_the_starts(broker: Broker, fill_slot: FillSlot, clock: ManualClock) -> None:
    slow = Holding(limits={"mail": Limit(rate=0.5)})
    for at in range(5):
        broker.send("work", [Message(str(at), "x", slot="mail\na")])
    fill_slot("other", slot="mail\nb")
    starts: dict[str, float] = {}
    began = clock.now()
    for _ in range(12):
        for one in take(broker, holding=slow):
            starts[one.id] = clock.now() - began
            broker.delete([Finish(one)])
        clock.advance(1)
    assert starts == {"0": 0, "other": 0, "1": 2, "2": 4, "3": 6, "4": 8}


def test_one_that_waits_for_its_rate_is_told_when_it_is_due(
    broker: Broker, fill_slot: FillSlot, clock: ManualClock
) -> None:
    slow = Holding(limits={"pay": Limit(rate=0.1)})
    fill_slot("1", "2")
    assert ids(take(broker, holding=slow)) == ["1"]
    counts = broker.counts("work")
    assert (counts.visible, counts.in_flight, counts.delayed) == (0, 1, 1)
    assert broker.next_due("work") == clock.now() + 10


def test_a_start_again_counts_again(
    broker: Broker, fill_slot: FillSlot, clock: ManualClock
) -> None:
    slow = Holding(limits={"pay": Limit(rate=0.1)})
    fill_slot("1", "2")
    (first,) = take(broker, holding=slow)
    broker.change_visibility([(first, 0)])
    assert take(broker, holding=slow) == []
    clock.advance(10)
    assert ids(take(broker, holding=slow)) == ["2"]
    clock.advance(10)
    assert ids(take(broker, holding=slow)) == ["1"]


def test_a_limit_and_a_rate_hold_together(
    broker: Broker, fill_slot: FillSlot, clock: ManualClock
) -> None:
    both = Holding(limits={"pay": Limit(most=1, rate=0.1)})
    fill_slot("1", "2", "3")
    (first,) = take(broker, holding=both)
    clock.advance(29)
    assert take(broker, holding=both) == []
    broker.delete([Finish(first)])
    assert ids(take(broker, holding=both)) == ["2"]
    assert take(broker, holding=both) == []


@needs("atomic")
def test_one_without_a_slot_can_be_given_back_with_one(broker: Broker, fill_slot: FillSlot) -> None:
    fill_slot("1", slot=None)
    fill_slot("2", "3", "4")
    (first,) = take(broker, limit=1)
    assert first.slot is None
    broker.apply([Change(settlements=[GiveBack(first, "pay")])])[0].or_raise()
    found = take(broker)
    assert len(found) == 2
    assert {one.slot for one in found} == {"pay"}


@needs("dead_letters", "repairs")
def test_a_dead_letter_has_its_slot_again_when_it_comes_back(
    broker: Broker, fill_slot: FillSlot
) -> None:
    fill_slot("1")
    broker.dead_letter([(one, "{}") for one in take(broker)])
    fill_slot("2", "3")
    assert ids(broker.receive("work-dlq", holding=TWO)) == ["1"]
    broker.redrive("work-dlq", ids=["1"])
    assert len(take(broker)) == 2


@needs("fifo")
def test_a_fifo_queue_refuses_slots(broker: Broker, fifo: str) -> None:
    message = Message("1", "x", group="g", deduplication_id="1", slot="pay")
    with pytest.raises(LimitExceeded, match="FIFO"):
        broker.send(fifo, [message])


@pytest.mark.parametrize("slot", ["", "\nkey", "a\tb", "a\nb\nc", "x" * 601, 7])
def test_a_slot_is_a_name_and_perhaps_a_key(slot: str) -> None:
    with pytest.raises(LimitExceeded, match="slot is"):
        Message("1", "x", slot=slot)


def test_a_limit_holds_in_a_receive_from_several_queues(
    broker: Broker, fill_slot: FillSlot
) -> None:
    broker.create_queue("other")
    broker.send("other", [Message("first", "x")])
    fill_slot(*"1234")
    found = broker.receive("other", "work", limit=10, holding=TWO)
    assert ids(found) == ["first", "1", "2"]


def test_a_raised_limit_is_reached_soon(broker: Broker, fill_slot: FillSlot) -> None:
    fill_slot(*[str(at) for at in range(40)])
    take(broker)
    take(broker)
    more = Holding(limits={"pay": Limit(most=30)})
    broker.upkeep()
    found = []
    for _ in range(8):
        found += take(broker, holding=more)
    assert len(found) >= 8  # each start calls for more, as long as there is room


@needs("priorities")
def test_what_waits_for_a_slot_takes_no_turn_of_its_level(
    broker: Broker, fill_slot: FillSlot
) -> None:
    fill_slot("held", "held too")
    take(broker)
    full = [Message(f"low {at}", "x", slot="pay", priority="low") for at in range(20)]
    high = [Message(f"high {at}", "x", priority="high") for at in range(40)]
    broker.send("work", [*full, Message("free", "x", priority="low"), *high])
    order = []
    for _ in range(12):
        for one in take(broker, limit=1):
            order.append(one.id)
            broker.delete([Finish(one)])
    assert "free" in order


def test_one_given_back_has_paid_for_its_turn(
    broker: Broker, fill_slot: FillSlot, clock: ManualClock
) -> None:
    slow = Holding(limits={"pay": Limit(rate=0.1)})
    fill_slot("1", "2")
    broker.give_back(take(broker, holding=slow))
    assert ids(take(broker, holding=slow)) == ["1"]


__all__ = collected(globals(), ("limits",))
