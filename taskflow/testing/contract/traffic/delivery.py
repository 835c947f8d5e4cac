"""Publish, receive, delete: fan-out, visibility, receipts, delay, retention."""

from collections.abc import Callable

import pytest

from taskflow.broker import Broker, Finish, QueueSettings
from taskflow.errors import ConfigError, LimitExceeded
from taskflow.message import Delivery, Message
from taskflow.testing import ManualClock
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *
from taskflow.testing.contract.needs import needs

Put = Callable[..., None]
Get = Callable[..., list[Delivery]]


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.id for delivery in deliveries]


def test_a_topic_fans_out_to_every_queue_that_subscribes(
    broker: Broker, put: Put, get: Get
) -> None:
    broker.create_queue("other")
    broker.create_queue("aside")
    broker.subscribe("made", "other")
    put("1")
    assert ids(get("work")) == ids(get("other")) == ["1"]
    assert get("aside") == []


def test_publish_says_how_many_queues_it_reached(broker: Broker, queue: str) -> None:
    broker.create_topic("lonely")
    assert broker.publish("made", [Message("1", "x")]).subscriptions == 1
    assert broker.publish("lonely", [Message("1", "x")]).subscriptions == 0


def test_a_delivery_carries_what_was_sent(
    broker: Broker, clock: ManualClock, queue: str, get: Get
) -> None:
    broker.publish("made", [Message("1", "käse ☃", {"colour": "blau", "n": "1"})])
    clock.advance(3)
    (delivery,) = get()
    assert (delivery.id, delivery.body, dict(delivery.attributes)) == (
        "1",
        "käse ☃",
        {"colour": "blau", "n": "1"},
    )
    assert (delivery.topic, delivery.queue, delivery.receive_count) == ("made", "work", 1)
    assert (delivery.sent_at, delivery.first_received_at, delivery.visible_at) == (
        1000.0,
        1003.0,
        1033.0,
    )


def test_send_reaches_one_queue_under_the_empty_topic(broker: Broker, queue: str, get: Get) -> None:
    broker.send("work", [Message("1", "x")])
    assert [(found.id, found.topic) for found in get()] == [("1", "")]


def test_a_received_message_is_hidden_until_its_visibility_timeout_ends(
    clock: ManualClock, put: Put, get: Get
) -> None:
    put("1")
    assert ids(get()) == ["1"]
    clock.advance(29.9)
    assert get() == []
    clock.advance(0.1)
    (again,) = get()
    assert (again.id, again.receive_count, again.first_received_at) == ("1", 2, 1000.0)


def test_messages_come_oldest_first_and_at_most_limit(put: Put, get: Get) -> None:
    put("1", "2")
    put("3")
    assert ids(get(limit=2)) == ["1", "2"]
    assert ids(get(limit=2)) == ["3"]


def test_queues_are_asked_in_the_order_given(broker: Broker, queue: str) -> None:
    broker.create_queue("other")
    broker.send("other", [Message("o1", "x"), Message("o2", "x")])
    broker.send("work", [Message("w1", "x")])
    assert ids(broker.receive("work", "other", limit=2)) == ["w1", "o1"]
    assert ids(broker.receive("work", "other", limit=2)) == ["o2"]


def test_a_deleted_message_never_comes_back(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("1", "2")
    first, second = get()
    assert broker.delete([Finish(first)]) == [True]
    assert broker.delete([Finish(first)]) == [False]
    clock.advance(31)
    assert ids(get()) == ["2"]
    assert second.id == "2"


@needs("dead_letters")
def test_a_receipt_is_stale_once_the_message_is_received_again(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("1")
    (old,) = get()
    clock.advance(30)
    (new,) = get()
    assert old.receipt != new.receipt
    assert broker.delete([Finish(old)]) == [False]
    assert broker.change_visibility([(old, 0)]) == [False]
    assert broker.give_back([old]) == [False]
    assert broker.dead_letter([(old, "{}")]) == [False]
    assert broker.counts("work").in_flight == 1
    assert broker.delete([Finish(new)]) == [True]


def test_delete_works_after_the_timeout_as_long_as_nobody_received_again(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("1")
    (late,) = get()
    clock.advance(31)
    assert broker.delete([Finish(late)]) == [True]
    assert get() == []


def test_a_batch_is_answered_entry_by_entry_in_order(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("1", "2", "3")
    one, two, three = get()
    broker.delete([Finish(two)])
    assert broker.delete([Finish(one), Finish(two), Finish(three)]) == [True, False, True]


@pytest.mark.parametrize("receipt", ["", "x", "1", "1.x", "999.5", "1.2.3"])
def test_a_malformed_receipt_settles_nothing(
    broker: Broker, put: Put, get: Get, receipt: str
) -> None:
    put("1")
    (delivery,) = get()
    delivery.receipt = receipt
    assert broker.delete([Finish(delivery)]) == [False]
    assert broker.counts("work").in_flight == 1


def test_change_visibility_counts_from_the_call(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("1")
    (held,) = get()
    clock.advance(20)
    assert broker.change_visibility([(held, 30)]) == [True]
    assert held.visible_at == 1050.0
    clock.advance(29)
    assert get() == []
    clock.advance(1)
    assert ids(get()) == ["1"]


def test_change_visibility_to_zero_shows_it_at_once(broker: Broker, put: Put, get: Get) -> None:
    put("1")
    (held,) = get()
    assert broker.change_visibility([(held, 0)]) == [True]
    assert get()[0].receive_count == 2


def test_a_lease_that_has_ended_cannot_be_extended(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("1")
    (held,) = get()
    clock.advance(30)
    assert broker.change_visibility([(held, 30)]) == [False]


def test_given_back_messages_were_never_received(broker: Broker, put: Put, get: Get) -> None:
    put("1")
    assert broker.give_back(get()) == [True]
    assert get()[0].receive_count == 1


def test_a_visibility_given_to_receive_overrides_the_queue(
    clock: ManualClock, put: Put, get: Get
) -> None:
    put("1")
    get(visibility=5)
    clock.advance(5)
    assert ids(get()) == ["1"]


def test_a_delayed_message_is_hidden_until_due(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("late", delay=60)
    put("now")
    assert ids(get(visibility=3600)) == ["now"]
    assert broker.counts("work").delayed == 1
    clock.advance(59.9)
    assert get() == []
    clock.advance(0.1)
    assert ids(get()) == ["late"]


def test_the_queues_delay_counts_unless_the_message_has_its_own(
    broker: Broker, clock: ManualClock
) -> None:
    broker.create_queue("slow", QueueSettings(delay=10))
    broker.send("slow", [Message("1", "x"), Message("2", "x", delay=20)])
    clock.advance(10)
    assert ids(broker.receive("slow", limit=10)) == ["1"]
    clock.advance(10)
    assert ids(broker.receive("slow", limit=10)) == ["2"]


def test_a_delay_past_the_retention_is_refused_and_nothing_is_stored(
    broker: Broker, queue: str
) -> None:
    with pytest.raises(LimitExceeded, match="retention"):
        broker.publish("made", [Message("1", "x"), Message("2", "x", delay=345600)])
    assert broker.counts("work").visible == 0


def test_messages_past_their_retention_are_gone(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("old")
    clock.advance(345000)
    put("new")
    assert broker.counts("work").visible == 2
    clock.advance(600)
    assert broker.counts("work").visible == 1
    assert [found.id for found in broker.peek("work")] == ["new"]
    assert ids(get()) == ["new"]


def test_receive_drops_expired_messages_without_a_count_in_between(
    clock: ManualClock, put: Put, get: Get
) -> None:
    put(*[str(number) for number in range(25)])
    clock.advance(345600)
    put("new")
    assert ids(get(limit=3)) == ["new"]


def test_retention_counts_while_a_message_is_in_flight(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("1")
    get(visibility=43200)
    clock.advance(345600)
    counts = broker.counts("work")
    assert (counts.visible, counts.in_flight, counts.delayed) == (0, 0, 0)


@needs("duplicates")
def test_sending_a_held_message_again_stores_nothing(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("1", "2")
    put("2", "3", "1")
    held = get()
    assert ids(held) == ["1", "2", "3"]
    put("1")
    assert get() == []
    broker.delete([Finish(delivery) for delivery in held])
    put("1")
    assert ids(get()) == ["1"]


def test_the_same_id_on_another_topic_is_another_message(
    broker: Broker, put: Put, get: Get
) -> None:
    broker.create_topic("cancelled")
    broker.subscribe("cancelled", "work")
    put("ord_1")
    broker.publish("cancelled", [Message("ord_1", "x")])
    assert [found.topic for found in get()] == ["made", "cancelled"]


def test_bodies_and_attributes_have_limits(broker: Broker) -> None:
    Message("1", "x" * 1048576)
    for body in ("", "x" * 1048577, "a\0b", "\ud800"):
        with pytest.raises(LimitExceeded):
            Message("1", body)
    Message("1", "x", {str(number): "" for number in range(10)})
    with pytest.raises(LimitExceeded, match="11 message attributes; 10"):
        Message("1", "x", {str(number): "" for number in range(11)})
    with pytest.raises(LimitExceeded, match="1048577 bytes"):
        Message("1", "x" * 1048564, {"abc": "wxyz"})


@needs("large_messages")
def test_a_large_message_arrives_whole(broker: Broker, queue: str, get: Get) -> None:
    body = "ß" * 500_000
    broker.publish("made", [Message("1", body)])
    assert get()[0].body == body


def test_receive_refuses_what_cannot_be(broker: Broker, queue: str) -> None:
    for bad in ({"limit": 0}, {"wait": -1}, {"visibility": -1}, {"visibility": 43201}):
        with pytest.raises(LimitExceeded):
            broker.receive("work", **bad)  # type: ignore[arg-type]
    with pytest.raises(LimitExceeded):
        broker.receive()


def test_an_id_whose_message_has_expired_may_be_sent_again(
    clock: ManualClock, put: Put, get: Get
) -> None:
    put("1", "2")
    clock.advance(345600)
    put("1")
    put("3", "2")
    assert ids(get()) == ["1", "3", "2"]


def test_a_connection_is_refused_by_who_cannot_use_it(broker: Broker, queue: str) -> None:
    if broker.features.connections:
        return  # what it is then, only the broker's own tests can say
    with pytest.raises(ConfigError, match="connection= is a object"):
        broker.publish("made", [Message("1", "x")], connection=object())
    with pytest.raises(ConfigError, match="connection= is a object"):
        broker.send(queue, [Message("1", "x")], connection=object())
    assert broker.counts(queue).visible == 0


__all__ = collected(globals())
