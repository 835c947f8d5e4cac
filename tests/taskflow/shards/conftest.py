"""Brokers over two files, as they are opened, and as they are left by who dies."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from taskflow import open_broker
from taskflow.brokers.sharded.broker import ShardedBroker
from taskflow.testing import ManualClock
from tests.taskflow.shards.made import Made

Open = Callable[[], ShardedBroker]


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/broker.db?durability=process"


@pytest.fixture
def opened(address: str, taskflow_clock: ManualClock) -> Iterator[Open]:
    """Open the broker, once more if it is open already."""
    brokers: list[ShardedBroker] = []

    def opened() -> ShardedBroker:
        more = "" if brokers else "&shards=2"
        broker = cast(ShardedBroker, open_broker(f"{address}{more}", clock=taskflow_clock))
        brokers.append(broker)
        return broker

    yield opened
    for broker in brokers:
        broker.close()


@pytest.fixture
def broker(opened: Open) -> ShardedBroker:
    """One with a topic `made`, which feeds a queue `work`, and a FIFO queue `work.fifo`."""
    broker = opened()
    broker.create_topic("made")
    broker.create_queue("work-dlq")
    broker.create_queue("work")
    broker.create_queue("work.fifo")
    broker.subscribe("made", "work")
    return broker


@pytest.fixture(params=["process", "power"])
def made(
    request: pytest.FixtureRequest, tmp_path: Path, taskflow_clock: ManualClock
) -> Iterator[Made]:
    made = Made(tmp_path / "broker.db", taskflow_clock, durability=request.param)
    made.warm()
    yield made
    made.broker.close()


@pytest.fixture
def other(made: Made, tmp_path: Path, taskflow_clock: ManualClock) -> Iterator[Made]:
    """As another process has it."""
    other = Made(tmp_path / "broker.db", taskflow_clock, files=None)
    yield other
    other.broker.close()
