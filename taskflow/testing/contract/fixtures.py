"""What the tests of the suite find: queues that were declared, and short ways to fill and empty
them. `broker` and `clock` are the fixtures of whoever holds a broker to the suite."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from taskflow.broker import Broker, QueueSettings
from taskflow.broker.settings import Sent
from taskflow.message import Delivery, Message
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.differs import Differs
from taskflow.testing.contract.needs import missing, skip
from taskflow.testing.manual_clock import ManualClock


@pytest.fixture(autouse=True)
def leave_out(request: pytest.FixtureRequest) -> None:
    """Skip what needs a feature that the broker's record denies, and say which; expect the failure
    of what the fixture `differences` speaks of, where there is one: names of tests and `Differs`.
    """
    if "broker" not in request.fixturenames:
        return
    item = request.node
    broker: Broker = request.getfixturevalue("broker")
    differs = _differences(request, item)
    if lacks := missing(item, broker.features):
        assert differs is None, f"left out for want of {lacks}: `differences` has no word on it"
        skip(request, lacks)
    if differs is not None:
        mark = pytest.mark.xfail(reason=differs.why, strict=differs.always, run=differs.run)
        item.add_marker(mark)


def _differences(request: pytest.FixtureRequest, item: pytest.Function) -> Differs | None:
    try:
        known: dict[str, Differs] = request.getfixturevalue("differences")
    except pytest.FixtureLookupError:
        return None
    return known.get(item.name, known.get(item.originalname))


@pytest.fixture
def queue(broker: Broker) -> str:
    """A queue `work`, fed by the topic `made`; with a DLQ after two receives, if there are any."""
    broker.create_topic("made")
    settings = QueueSettings()
    if broker.features.dead_letters:
        broker.create_queue("work-dlq", QueueSettings(retention=14 * 86400))
        settings = QueueSettings(dead_letter_queue="work-dlq", max_receives=2)
    broker.create_queue("work", settings)
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
    """Receive from `work`, or another queue."""

    def get(queue: str = "work", limit: int = 10, **more: float) -> list[Delivery]:
        return broker.receive(queue, limit=limit, **more)  # type: ignore[arg-type]

    return get


@pytest.fixture
def fifo(broker: Broker) -> str:
    """A FIFO queue `work.fifo`; with a DLQ after three receives, if there are any."""
    settings = QueueSettings()
    if broker.features.dead_letters:
        broker.create_queue("work-dlq.fifo", QueueSettings(retention=14 * 86400))
        settings = QueueSettings(dead_letter_queue="work-dlq.fifo", max_receives=3)
    broker.create_queue("work.fifo", settings)
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


__all__ = collected(globals())
