"""Redrive policy, dead_letter, redrive, purge, counts."""

import json
from collections.abc import Callable

import pytest

from taskflow.broker import Broker, Finish, QueueCounts, QueueSettings
from taskflow.errors import LimitExceeded
from taskflow.message import FAILURE, Delivery, Message
from taskflow.testing import ManualClock

Put = Callable[..., None]
Get = Callable[..., list[Delivery]]


def test_a_message_received_too_often_moves_at_the_next_receive(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("1")
    for count in (1, 2):
        assert get()[0].receive_count == count
        clock.advance(30)
    assert broker.counts("work-dlq").visible == 0
    assert get() == []
    (letter,) = get("work-dlq")
    assert (letter.id, letter.topic, letter.body) == ("1", "made", "body of 1")
    assert (letter.receive_count, letter.sent_at) == (1, 1000.0)
    failure = json.loads(str(letter.attributes[FAILURE]))
    assert failure["attempts"] == 2
    assert "never finished" in failure["reason"]
    assert broker.counts("work").dead_lettered == 1


def test_worn_out_messages_do_not_hold_up_the_others(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put(*[f"bad{number}" for number in range(15)])
    for _ in range(2):
        assert len(get(limit=15)) == 15
        clock.advance(30)
    put("good")
    assert [found.id for found in get(limit=5)] == ["good"]
    assert broker.counts("work-dlq").visible == 15


def test_dead_letter_moves_with_the_failure_record(broker: Broker, queue: str, get: Get) -> None:
    broker.publish("made", [Message("1", "x", {"colour": "blue"}), Message("2", "x")])
    one, two = get()
    assert broker.dead_letter([(one, '{"reason": "no"}')]) == [True]
    (letter,) = broker.peek("work-dlq")
    assert dict(letter.attributes) == {"colour": "blue", FAILURE: '{"reason": "no"}'}
    assert broker.dead_letter([(one, "{}"), (two, "{}")]) == [False, True]


def test_a_queue_without_a_dlq_refuses_and_keeps_the_message(broker: Broker) -> None:
    broker.create_queue("plain")
    broker.send("plain", [Message("1", "x")])
    (held,) = broker.receive("plain")
    with pytest.raises(LimitExceeded, match="no dead-letter queue"):
        broker.dead_letter([(held, "{}")])
    assert broker.delete([Finish(held)]) == [True]


def test_a_queue_without_a_redrive_policy_delivers_for_ever(
    broker: Broker, clock: ManualClock
) -> None:
    broker.create_queue("plain", QueueSettings(visibility_timeout=1))
    broker.send("plain", [Message("1", "x")])
    for count in range(1, 50):
        assert broker.receive("plain")[0].receive_count == count
        clock.advance(1)


def test_redrive_sends_letters_back_where_they_came_from(
    broker: Broker, put: Put, get: Get
) -> None:
    broker.create_queue("other", broker.settings("work"))
    put("1", "2")
    broker.send("other", [Message("3", "x", {"a": "b"})])
    broker.dead_letter([(held, '{"reason": "no"}') for held in get() + get("other")])
    assert broker.counts("work-dlq").visible == 3
    assert broker.redrive("work-dlq") == 3
    back = get()
    assert [(found.id, found.receive_count, dict(found.attributes)) for found in back] == [
        ("1", 1, {}),
        ("2", 1, {}),
    ]
    assert [(found.id, dict(found.attributes)) for found in get("other")] == [("3", {"a": "b"})]
    assert broker.counts("work-dlq").visible == 0


def test_redriven_messages_live_for_another_retention(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("1")
    broker.dead_letter([(get()[0], "{}")])
    clock.advance(345_600 + 1)  # past the retention of `work`
    broker.redrive("work-dlq")
    put("2")
    assert broker.counts("work").visible == 2
    assert [(found.id, found.sent_at) for found in get()] == [("1", 346601.0), ("2", 346601.0)]


def test_redrive_can_choose_and_limit(broker: Broker, put: Put, get: Get) -> None:
    put("1", "2", "3")
    broker.dead_letter([(held, "{}") for held in get()])
    assert broker.redrive("work-dlq", ids=["2", "nosuch"]) == 1
    assert broker.redrive("work-dlq", limit=1) == 1
    assert {found.id for found in get()} == {"1", "2"}
    assert [found.id for found in broker.peek("work-dlq")] == ["3"]


def test_letters_of_unknown_origin_stay(broker: Broker, queue: str) -> None:
    broker.send("work-dlq", [Message("1", "x")])
    assert broker.redrive("work-dlq") == 0
    assert broker.counts("work-dlq").visible == 1


def test_a_redriven_event_may_be_handled_again_and_fail_again(
    broker: Broker, put: Put, get: Get
) -> None:
    put("1")
    for _ in range(3):
        assert broker.dead_letter([(get()[0], "{}")]) == [True]
        assert broker.redrive("work-dlq") == 1
    assert get()[0].receive_count == 1


@pytest.mark.differs("aws", "standard queues know no duplicates")
def test_a_letter_replaces_an_older_one_of_the_same_event(
    broker: Broker, put: Put, get: Get
) -> None:
    for reason in ("first", "second"):
        put("1")
        broker.dead_letter([(get()[0], reason)])
    assert [found.attributes[FAILURE] for found in broker.peek("work-dlq")] == ["second"]


def test_purge_deletes_everything_in_flight_or_not(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("1", "2")
    (held,) = get(limit=1)
    put("late", delay=5)
    assert broker.purge("work") == 3
    assert broker.delete([Finish(held)]) == [False]
    clock.advance(31)
    assert get() == []


def test_purge_can_choose(broker: Broker, put: Put, get: Get) -> None:
    put("1", "2", "3")
    assert broker.purge("work", ids=["1", "3"]) == 2
    assert [found.id for found in get()] == ["2"]


@pytest.mark.differs("aws", "SNS has no delays, SQS no age")
def test_counts_tell_visible_in_flight_delayed_and_age(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    assert broker.counts("work") == QueueCounts(0, 0, 0, 0.0, 0, 0)
    put("1", "2", "3")
    put("late", delay=100)
    clock.advance(7)
    held = get(limit=2)
    assert broker.counts("work") == QueueCounts(1, 2, 1, 7.0, 0, 0)
    broker.delete([Finish(held[0])])
    broker.dead_letter([(held[1], "{}")])
    assert broker.counts("work") == QueueCounts(1, 0, 1, 7.0, 1, 1)


def test_peek_changes_nothing(broker: Broker, put: Put, get: Get) -> None:
    put("1", "2", "3")
    assert [found.id for found in broker.peek("work", limit=2)] == ["1", "2"]
    assert [found.id for found in broker.peek("work", ids=["3"])] == ["3"]
    assert [found.receive_count for found in get()] == [1, 1, 1]


@pytest.mark.differs("aws", "known of received messages only")
def test_next_due_is_the_least_hidden_time(broker: Broker, put: Put, get: Get) -> None:
    assert broker.next_due("work", "work-dlq") is None
    put("late", delay=100)
    assert broker.next_due("work") == 1100.0
    put("1")
    get()
    assert broker.next_due("work", "work-dlq") == 1030.0


def test_a_senders_own_attributes_survive_the_way_there_and_back(
    broker: Broker, queue: str, get: Callable[..., list[Delivery]]
) -> None:
    broker.publish("made", [Message("1", "x", {"failure": "mine"})])
    broker.dead_letter([(get()[0], '{"reason": "r"}')])
    (letter,) = get("work-dlq", visibility=0.0)
    assert letter.attributes == {"failure": "mine", FAILURE: '{"reason": "r"}'}
    broker.redrive("work-dlq")
    assert get()[0].attributes == {"failure": "mine"}
