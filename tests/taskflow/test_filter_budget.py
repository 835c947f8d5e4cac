"""Filters may take only so long, and nobody else waits for them."""

import json
import threading
from dataclasses import replace
from typing import Any

import pytest

from taskflow.broker import Broker
from taskflow.errors import LimitExceeded
from taskflow.filters import parse_filter
from taskflow.filters.budget import limited, spend
from taskflow.message import Message
from taskflow.testing import ManualClock, memory_broker


@pytest.fixture
def broker() -> Broker:
    broker = memory_broker(clock=ManualClock())
    broker.create_topic("made")
    broker.create_queue("work")
    return broker


def test_without_a_limit_nothing_is_counted() -> None:
    spend(10**12)


def test_a_limit_ends_with_its_block_and_belongs_to_its_thread() -> None:
    errors: list[Exception] = []

    def other() -> None:
        try:
            spend(10)
        except LimitExceeded as error:
            errors.append(error)

    with limited(5):
        spend(5)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(10)
        with pytest.raises(LimitExceeded, match="too many values"):
            spend(1)
    spend(10)
    assert errors == []


def test_a_body_of_many_values_is_refused_not_chewed(broker: Broker) -> None:
    policy = {"name": [{"prefix": f"a{n}b"} for n in range(30)]}
    broker.subscribe("made", "work")
    (one,) = broker.subscriptions("made")
    broker.put_subscription(
        one.__class__(
            one.id,
            "made",
            "sqs",
            "work",
            filter_policy=json.dumps(policy),
            filter_scope="MessageBody",
        )
    )
    body = json.dumps({"name": [str(n) for n in range(80_000)]})
    with pytest.raises(LimitExceeded, match="too many values"):
        broker.publish("made", [Message("1", body)])
    assert broker.publish("made", [Message("2", '{"name": ["a1b"]}')]).subscriptions
    assert [one.id for one in broker.peek("work")] == ["2"]


def test_others_go_on_while_a_filter_is_asked(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write lock is not held: a send to another queue ends within the publish."""
    broker.create_queue("other")
    broker.subscribe("made", "work")
    (one,) = broker.subscriptions("made")
    broker.put_subscription(replace(one, filter_policy='{"a": ["b"]}'))
    asked: list[int] = []

    def slow(*given: Any) -> Any:
        thread = threading.Thread(target=lambda: broker.send("other", [Message("x", "x")]))
        thread.start()
        thread.join(10)
        asked.append(len(broker.peek("other")))
        return parse_filter(*given)

    broker.publish("made", [Message("0", "{}", {"a": "b"})])  # now the broker knows of the filter
    monkeypatch.setattr("taskflow.brokers.stored.fanout.parse_filter", slow)
    broker.publish("made", [Message("1", "{}", {"a": "b"})])
    assert asked == [1]
    assert [found.id for found in broker.peek("work")] == ["0", "1"]
