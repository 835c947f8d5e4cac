"""What it means to be a broker: the suite runs over every address there is.

A test that a broker cannot pass is marked `differs("aws", "why")`: it runs all the same, must fail
(`run=False`: is not run, since it would never end), and its reason is printed with the others.
`make contract-moto` runs it over the AWS broker in front of moto's server too; where that differs
says moto_differences.py.
"""

import os
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from taskflow.broker import Broker, QueueSettings
from taskflow.broker.settings import Sent
from taskflow.config import open_broker
from taskflow.message import Delivery, Message
from taskflow.testing import ManualClock
from tests.contract import moto_differences
from tests.contract.wire import SharedClock, aws_broker


@pytest.fixture
def clock() -> ManualClock:
    return SharedClock(1000.0)


BROKERS = ["memory", "sqlite", "aws", *(["moto"] if os.environ.get("TASKFLOW_TEST_MOTO") else [])]


@pytest.fixture(params=BROKERS)
def broker(
    request: pytest.FixtureRequest,
    clock: SharedClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Broker]:
    marks = list(request.node.iter_markers("differs"))
    if request.param == "moto":
        marks = moto_differences.find(request.node.name, marks)
    for mark in marks:
        name, reason = mark.args
        if name == request.param:
            why = f"{name}: {reason}"
            request.applymarker(pytest.mark.xfail(reason=why, strict=True, **mark.kwargs))
    if request.param in ("aws", "moto"):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "TF1")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        with open_aws(request.param, clock, monkeypatch) as opened:
            yield opened
        return
    address = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/broker.db"
    local = open_broker(address, clock=clock, random=random.Random(7))
    yield local
    local.close()


def open_aws(
    server: str, clock: SharedClock, monkeypatch: pytest.MonkeyPatch
) -> AbstractContextManager[Broker]:
    if server == "aws":
        return aws_broker(clock)
    from tests.contract.moto_server import moto_broker  # slow to import

    return moto_broker(clock, monkeypatch)


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


@pytest.fixture
def fifo(broker: Broker) -> str:
    """A FIFO queue `work.fifo` with a DLQ after three receives."""
    broker.create_queue("work-dlq.fifo", QueueSettings(retention=14 * 86400))
    broker.create_queue(
        "work.fifo", QueueSettings(dead_letter_queue="work-dlq.fifo", max_receives=3)
    )
    return "work.fifo"


@pytest.fixture
def send(broker: Broker, fifo: str) -> Callable[..., list[Sent]]:
    """Send to `work.fifo` by id: the first letter is the group, the whole deduplicates."""

    def send(*ids: str) -> list[Sent]:
        messages = [Message(id, f"of {id}", group=id[0], deduplication_id=id) for id in ids]
        return broker.send(fifo, messages)

    return send


@pytest.fixture
def take(broker: Broker, fifo: str) -> Callable[..., list[Delivery]]:
    """Receive from `work.fifo`."""

    def take(limit: int = 10, **more: Any) -> list[Delivery]:
        return broker.receive(fifo, limit=limit, **more)

    return take


@pytest.fixture
def poll(broker: Broker, clock: ManualClock) -> Iterator[Callable[..., Future[list[Delivery]]]]:
    """Begin a long poll of 20 seconds in another thread; it is parked when this returns, and
    ended with the test."""
    ended = threading.Event()
    with ThreadPoolExecutor() as pool:

        def poll(queue: str, **more: Any) -> Future[list[Delivery]]:
            begun = pool.submit(broker.receive, queue, limit=10, wait=20, stop=ended.is_set, **more)
            clock.wait_until_parked()
            return begun

        yield poll
        ended.set()
        broker.wake()
