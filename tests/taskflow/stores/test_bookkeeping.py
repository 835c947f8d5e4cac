"""Counting a large queue without a look at every row says what counting them all would."""

import pytest

from taskflow.broker import Broker, QueueSettings
from taskflow.broker.settings import Holding, Limit
from taskflow.message import Message
from taskflow.stores.sqlite import bookkeeping
from taskflow.testing import ManualClock


@pytest.mark.parametrize("age", [0.0, 61.0, 119.0, 1000.0])
def test_large_queues_are_counted_as_small_ones(
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    age: float,
) -> None:
    taskflow_broker.create_queue("work", QueueSettings(retention=120.0))
    taskflow_broker.send("work", [Message(f"old-{number}", "x") for number in range(3)])
    taskflow_clock.advance(60)
    taskflow_broker.send("work", [Message(str(number), "x") for number in range(5)])
    taskflow_broker.send("work", [Message("late", "x", delay=50.0)])
    taskflow_broker.send("work", [Message("first", "x", priority="high", delay=30.0)])
    taskflow_broker.send("work", [Message(f"slot-{number}", "x", slot="one") for number in "ab"])
    holding = Holding(limits={"one": Limit(1)})
    taskflow_broker.receive("work", limit=2, visibility=10.0)
    taskflow_broker.receive("work", limit=8, visibility=10.0, holding=holding)
    taskflow_clock.advance(age)
    exact = taskflow_broker.counts("work")
    monkeypatch.setattr(bookkeeping, "MANY", 1)
    assert taskflow_broker.counts("work") == exact
