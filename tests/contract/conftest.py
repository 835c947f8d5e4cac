"""What it means to be a broker: the suite runs over every embedded address."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskflow.broker import Broker, QueueSettings
from taskflow.config import open_broker
from taskflow.message import Delivery, Message
from taskflow.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture(params=["memory", "sqlite"])
def broker(request: pytest.FixtureRequest, clock: ManualClock, tmp_path: Path) -> Iterator[Broker]:
    address = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/broker.db"
    opened = open_broker(address, clock=clock, random=random.Random(7))
    yield opened
    opened.close()


@pytest.fixture
def queue(broker: Broker) -> str:
    """A queue `work` with a DLQ after two receives, fed by the topic `made`."""
    broker.create_topic("made")
    broker.create_queue("work-dlq", QueueSettings(retention=14 * 86400))
    broker.create_queue("work", QueueSettings(dead_letter_queue="work-dlq", max_receives=2))
    broker.subscribe("made", "work")
    return "work"


@pytest.fixture
def put(broker: Broker, queue: str) -> Callable[..., None]:
    """Publish messages by id; the body says which it is."""

    def put(*ids: str, delay: float = 0.0) -> None:
        broker.publish("made", [Message(id, f"body of {id}", {}, delay) for id in ids])

    return put


@pytest.fixture
def get(broker: Broker) -> Callable[..., list[Delivery]]:
    def get(queue: str = "work", limit: int = 10, **more: float) -> list[Delivery]:
        return broker.receive(queue, limit=limit, **more)  # type: ignore[arg-type]

    return get
