"""Delays and retries that SNS and SQS do not have: hidden again until due, and no attempt."""

from collections import Counter

import pytest

from taskflow.broker.settings import Finish
from taskflow.brokers.aws.attribute_codec import LONGEST_HIDE, early_receives
from taskflow.brokers.aws.broker import AwsBroker
from taskflow.errors import LimitExceeded
from taskflow.message import Message
from tests.contract.wire import SharedClock

HOUR = 3600.0


@pytest.mark.parametrize("way", ["publish", "send"])
@pytest.mark.parametrize("delay", [60.0, 1000.0, 11 * HOUR, 13 * HOUR, 50 * HOUR])
def test_a_delayed_message_comes_when_it_is_due_as_its_first_attempt(
    broker: AwsBroker, clock: SharedClock, queue: str, way: str, delay: float
) -> None:
    message = Message("1", "x", delay=delay)
    if way == "publish":
        broker.publish("order.created", [message])
    else:
        broker.send(queue, [message])
    due = clock.now() + delay
    while clock.now() < due:
        assert broker.receive(queue, limit=10) == []
        clock.set(min(due, clock.now() + 1800))
    (one,) = broker.receive(queue, limit=10)
    assert (one.id, one.receive_count) == ("1", 1)
    clock.advance(30)
    assert broker.receive(queue)[0].receive_count == 2


def test_what_is_not_due_does_not_hold_up_the_rest(
    broker: AwsBroker, clock: SharedClock, queue: str
) -> None:
    broker.publish("order.created", [Message(str(n), "x", delay=60) for n in range(12)])
    broker.publish("order.created", [Message("now", "x")])
    (one,) = broker.receive(queue, limit=5)
    assert one.id == "now"
    broker.delete([Finish(one)])
    clock.advance(60)
    assert len(broker.receive(queue, limit=20)) == 12


def test_a_delay_past_every_retention_is_refused(broker: AwsBroker, queue: str) -> None:
    with pytest.raises(LimitExceeded, match="retention"):
        broker.publish("order.created", [Message("1", "x", delay=14 * 24 * HOUR)])
    with pytest.raises(LimitExceeded, match="retention"):
        broker.send(queue, [Message("1", "x", delay=4 * 24 * HOUR)])


@pytest.mark.parametrize(
    ("due", "first", "early"),
    [
        (0.0, 1000.0, 0),
        (1000.0, 1000.0, 0),
        (1000.5, 1000.0, 1),
        (1000.0 + LONGEST_HIDE, 1000.0, 1),
        (1001.0 + LONGEST_HIDE, 1000.0, 2),
    ],
)
def test_receives_before_the_time_are_known_from_it(due: float, first: float, early: int) -> None:
    assert early_receives(due, first) == early


def test_a_retry_after_more_than_twelve_hours_waits_as_a_copy(
    broker: AwsBroker, clock: SharedClock, queue: str
) -> None:
    broker.publish("order.created", [Message("1", "body", {"colour": "red"})])
    (held,) = broker.receive(queue)
    clock.advance(5)
    assert broker.change_visibility([(held, 20 * HOUR)]) == [True]
    due = clock.now() + 20 * HOUR
    while clock.now() < due:
        assert broker.receive(queue) == []
        clock.set(min(due, clock.now() + HOUR))
    (again,) = broker.receive(queue)
    assert (again.id, again.topic, again.body, again.attributes) == (
        "1",
        "order.created",
        "body",
        {"colour": "red"},
    )
    assert (again.receive_count, again.sent_at) == (2, 1000.0)
    assert broker.delete([Finish(held), Finish(again)]) == [False, True]
    assert broker.counts(queue).in_flight == broker.counts(queue).delayed == 0
    assert broker.counts(queue).handled == 1


def test_a_lease_ends_twelve_hours_after_the_receive(
    broker: AwsBroker, clock: SharedClock, queue: str, requests: Counter[str]
) -> None:
    broker.publish("order.created", [Message("1", "x")])
    (held,) = broker.receive(queue, visibility=6 * HOUR)
    clock.advance(5 * HOUR)
    assert broker.change_visibility([(held, 10 * HOUR)]) == [True]
    assert held.visible_at == 1000 + 12 * HOUR - 1
    clock.set(1000 + 12 * HOUR - 1)
    assert broker.change_visibility([(held, 30)]) == [False]
