"""FIFO queues: what holds a group back, what does not, and in which order it comes."""

from collections.abc import Callable
from concurrent.futures import Future

import pytest

from taskflow.broker import Broker, Finish, QueueSettings
from taskflow.broker.settings import Sent
from taskflow.errors import LimitExceeded
from taskflow.message import Delivery, Message
from taskflow.testing import ManualClock
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *
from taskflow.testing.contract.needs import needs

NEEDS = ("fifo",)


Send = Callable[..., list[Sent]]
Take = Callable[..., list[Delivery]]
Poll = Callable[..., Future[list[Delivery]]]


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.id for delivery in deliveries]


def test_one_receive_lends_several_of_a_group_in_order(send: Send, take: Take) -> None:
    send("a1", "b1")
    send("a2", "b2", "a3")
    taken = take()
    assert sorted(ids(taken)) == ["a1", "a2", "a3", "b1", "b2"]
    for group in "ab":
        assert ids([one for one in taken if one.group == group]) == sorted(
            one.id for one in taken if one.group == group
        )
    assert len({one.receipt for one in taken}) == 5


def test_a_message_in_flight_holds_back_its_group_and_no_other(
    broker: Broker, clock: ManualClock, send: Send, take: Take
) -> None:
    send("a1", "a2", "b1")
    (held,) = take(limit=1)
    assert held.id == "a1"
    assert ids(take()) == ["b1"]
    assert take() == []
    assert broker.delete([Finish(held)]) == [True]
    assert ids(take()) == ["a2"]


def test_each_group_that_may_be_received_from_waits(
    broker: Broker, fifo: str, send: Send, take: Take
) -> None:
    send("a1", "a2", "b1")
    assert broker.waiting(fifo, 10) in (2, 3)
    assert broker.waiting(fifo, 1) == 1
    broker.delete([Finish(one) for one in take()])
    assert broker.waiting(fifo, 10) == 0


def test_groups_nobody_holds_flow_past_the_limit_of_held_ones(send: Send, take: Take) -> None:
    send(*[f"{letter}{number}" for letter in "abcdef" for number in range(3)])
    seen = [take(limit=1)[0].id for _ in range(6)]
    assert sorted(seen) == ["a0", "b0", "c0", "d0", "e0", "f0"]
    assert take() == []


def test_a_new_message_does_not_unblock_its_group(send: Send, take: Take) -> None:
    send("a1")
    take()
    send("a2", "b1")
    assert ids(take()) == ["b1"]


def test_an_extended_first_message_holds_back_the_later_ones(
    broker: Broker, clock: ManualClock, send: Send, take: Take
) -> None:
    send("a1", "a2", "a3")
    first, *_ = take(visibility=10)
    assert broker.change_visibility([(first, 15)]) == [True]
    clock.advance(12)
    assert take() == []
    assert broker.next_due("work.fifo") == 1015.0
    clock.advance(3)
    assert ids(take()) == ["a1", "a2", "a3"]


@pytest.mark.parametrize(
    ("shown", "comes"),
    [
        ((0,), ["a0"]),
        ((0, 1), ["a0", "a1"]),
        ((0, 2), ["a0"]),
        ((1, 2), []),
        ((0, 1, 2, 3), ["a0", "a1", "a2", "a3"]),
    ],
)
def test_visibility_zero_shows_a_group_up_to_the_next_hidden_one(
    broker: Broker, send: Send, take: Take, shown: tuple[int, ...], comes: list[str]
) -> None:
    send("a0", "a1", "a2", "a3")
    held = take()
    broker.change_visibility([(held[index], 0) for index in shown])
    assert ids(take()) == comes


def test_a_lease_that_ends_brings_the_group_back_in_order(
    clock: ManualClock, send: Send, take: Take
) -> None:
    send("a1", "a2", "a3")
    assert ids(take(limit=2)) == ["a1", "a2"]
    clock.advance(29.9)
    assert take() == []
    clock.advance(0.1)
    again = take()
    assert ids(again) == ["a1", "a2", "a3"]
    assert [one.receive_count for one in again] == [2, 2, 1]


@pytest.mark.parametrize("first", [0, 1])
def test_given_back_messages_keep_their_place(
    broker: Broker, send: Send, take: Take, first: int
) -> None:
    send("a1", "a2", "a3")
    held = take(limit=2)
    assert broker.give_back([held[first]]) == [True]
    assert ids(take()) == (["a1"] if first == 0 else [])
    broker.give_back([held[1 - first]])
    again = take()
    assert ids(again) == (["a2", "a3"] if first == 0 else ["a1", "a2", "a3"])[: len(again)]


@needs("dead_letters")
def test_a_worn_out_message_leaves_its_group_in_the_same_receive(
    broker: Broker, clock: ManualClock, send: Send, take: Take
) -> None:
    send("a1")
    for _ in range(3):
        take()
        clock.advance(30)
    send("a2", "b1")
    assert sorted(ids(take())) == ["a2", "b1"]
    assert ids(broker.peek("work-dlq.fifo")) == ["a1"]


@needs("dead_letters", "repairs")
def test_a_dead_letter_frees_its_group_and_comes_last_when_redriven(
    broker: Broker, send: Send, take: Take
) -> None:
    send("a1", "a2", "a3", "a4")
    one, two = take(limit=2)
    assert broker.dead_letter([(one, "{}"), (two, "{}")]) == [True, True]
    (third,) = take(limit=1)
    assert third.id == "a3"
    letters = broker.peek("work-dlq.fifo")
    assert [(letter.id, letter.group, letter.source) for letter in letters] == [
        ("a1", "a", "work.fifo"),
        ("a2", "a", "work.fifo"),
    ]
    assert broker.redrive("work-dlq.fifo") == 2
    assert take() == []
    broker.delete([Finish(third)])
    back = take()
    assert ids(back) == ["a4", "a1", "a2"]
    assert [one.receive_count for one in back] == [1, 1, 1]


@needs("dead_letters")
def test_a_fifo_dlq_keeps_the_order_of_groups_too(
    broker: Broker, clock: ManualClock, send: Send, take: Take
) -> None:
    send("a1", "a2", "b1")
    broker.dead_letter([(held, "{}") for held in take()])
    (letter,) = broker.receive("work-dlq.fifo")
    assert letter.id == "a1"
    assert ids(broker.receive("work-dlq.fifo", limit=10)) == ["b1"]
    clock.advance(30)
    assert ids(broker.receive("work-dlq.fifo", limit=10)) == ["a1", "a2", "b1"]


@needs("coordination")
def test_delete_after_the_lease_has_ended_is_refused(
    broker: Broker, clock: ManualClock, send: Send, take: Take
) -> None:
    send("a1", "a2")
    one, two = take()
    broker.change_visibility([(two, 60)])
    clock.advance(30)
    assert broker.leases([one, two]) == ["lapsed", "held"]
    assert broker.delete([Finish(one, remember=9), Finish(two)]) == [False, True]
    assert broker.finished("work.fifo", {("a1", "")}) == set()
    (again,) = take()
    assert broker.leases([one, again, two]) == ["stale", "held", "gone"]
    assert broker.delete([Finish(one), Finish(again)]) == [False, True]


def test_a_delay_is_the_queues_and_counts_for_waiting_messages_when_changed(
    broker: Broker, clock: ManualClock, send: Send, take: Take
) -> None:
    send("a1", "b1")
    (held,) = take(limit=1)
    settings = broker.settings("work.fifo")
    broker.set_queue("work.fifo", QueueSettings(delay=100))
    send("a2")
    assert broker.counts("work.fifo").delayed == 2
    broker.change_visibility([(held, 0)])
    assert ids(take()) == ["a1"], "received before: has no delay, and a2 does not hold it back"
    broker.set_queue("work.fifo", QueueSettings(delay=20))
    clock.advance(19.9)
    assert take() == []
    clock.advance(0.1)
    assert ids(take()) == ["b1"]
    broker.set_queue("work.fifo", settings)
    assert broker.counts("work.fifo").delayed == 0


def test_a_delayed_message_does_not_hold_back_earlier_ones(
    broker: Broker, clock: ManualClock, fifo: str
) -> None:
    broker.create_queue("slow.fifo", QueueSettings(delay=10, content_based_deduplication=True))
    broker.send("slow.fifo", [Message("1", "x", group="g")])
    clock.advance(10)
    broker.send("slow.fifo", [Message("2", "y", group="g")])
    assert ids(broker.receive("slow.fifo", limit=10)) == ["1"]


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (Message("1", "x", deduplication_id="d"), "needs a group"),
        (Message("1", "x", group="g"), "needs a deduplication id"),
        (Message("1", "x", group="g", deduplication_id="d", delay=5), "delays of their own"),
    ],
)
def test_a_fifo_queue_says_what_a_message_lacks(
    broker: Broker, fifo: str, message: Message, why: str
) -> None:
    good = Message("0", "x", group="g", deduplication_id="0")
    with pytest.raises(LimitExceeded, match=why):
        broker.send(fifo, [good, message])
    assert broker.counts(fifo).visible == 0


def _delete(broker: Broker, held: Delivery) -> None:
    broker.delete([Finish(held)])


def _give_back(broker: Broker, held: Delivery) -> None:
    broker.give_back([held])


def _show(broker: Broker, held: Delivery) -> None:
    broker.change_visibility([(held, 0)])


def _bury(broker: Broker, held: Delivery) -> None:
    broker.dead_letter([(held, "{}")])


def _purge(broker: Broker, held: Delivery) -> None:
    broker.purge("work.fifo", [held.id])


def _expire(broker: Broker, held: Delivery) -> None:
    assert isinstance(broker.clock, ManualClock)
    broker.clock.advance(5)


@pytest.mark.parametrize(
    "free",
    [
        _delete,
        _give_back,
        _show,
        _bury,
        _expire,
        _purge,
    ],
)
def test_a_long_poll_answers_when_the_head_of_a_group_lets_go(
    broker: Broker,
    clock: ManualClock,
    send: Send,
    take: Take,
    poll: Poll,
    free: Callable[[Broker, Delivery], None],
) -> None:
    send("a1", "a2")
    (held,) = take(limit=1, visibility=5)
    polling = poll("work.fifo")
    free(broker, held)
    assert ids(polling.result(5))[-1] == "a2"
    assert clock.now() == (1005.0 if free is _expire else 1000.0)


def test_a_long_poll_hears_that_a_delay_was_shortened(
    broker: Broker, send: Send, poll: Poll
) -> None:
    broker.set_queue("work.fifo", QueueSettings(delay=100))
    send("a1")
    polling = poll("work.fifo")
    broker.set_queue("work.fifo", QueueSettings())
    assert ids(polling.result(5)) == ["a1"]


@needs("dead_letters")
@pytest.mark.parametrize("bury", ["dead_letter", "receive"])
def test_a_long_poll_of_a_dlq_hears_of_a_dead_letter(
    broker: Broker, clock: ManualClock, send: Send, take: Take, poll: Poll, bury: str
) -> None:
    send("a1")
    (held,) = take()
    for _ in range(2):
        clock.advance(30)
        (held,) = take()
    polling = poll("work-dlq.fifo")
    if bury == "dead_letter":
        broker.dead_letter([(held, "{}")])
    else:
        broker.change_visibility([(held, 0)])
        assert take() == []
    assert ids(polling.result(5)) == ["a1"]


__all__ = collected(globals(), NEEDS)
