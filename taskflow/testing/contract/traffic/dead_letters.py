"""Messages that go to the dead-letter queue: received too often, or given up."""

import json
from collections.abc import Callable

import pytest

from taskflow.broker import Broker, Finish, QueueSettings
from taskflow.errors import LimitExceeded
from taskflow.message import FAILURE, Delivery, Message
from taskflow.testing import ManualClock
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *
from taskflow.testing.contract.needs import needs

NEEDS = ("dead_letters",)


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


@needs("duplicates")
def test_a_letter_replaces_an_older_one_of_the_same_event(
    broker: Broker, put: Put, get: Get
) -> None:
    for reason in ("first", "second"):
        put("1")
        broker.dead_letter([(get()[0], reason)])
    assert [found.attributes[FAILURE] for found in broker.peek("work-dlq")] == ["second"]


def test_next_due_is_the_least_hidden_time(broker: Broker, put: Put, get: Get) -> None:
    assert broker.next_due("work", "work-dlq") is None
    put("late", delay=100)
    assert broker.next_due("work") == 1100.0
    put("1")
    get()
    assert broker.next_due("work", "work-dlq") == 1030.0


@needs("repairs")
def test_a_senders_own_attributes_survive_the_way_there_and_back(
    broker: Broker, queue: str, get: Callable[..., list[Delivery]]
) -> None:
    broker.publish("made", [Message("1", "x", {"failure": "mine"})])
    broker.dead_letter([(get()[0], '{"reason": "r"}')])
    (letter,) = get("work-dlq", visibility=0.0)
    assert letter.attributes == {"failure": "mine", FAILURE: '{"reason": "r"}'}
    broker.redrive("work-dlq")
    assert get()[0].attributes == {"failure": "mine"}


__all__ = collected(globals(), NEEDS)
