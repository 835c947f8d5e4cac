"""Workers over AWS: the same handlers, retries, dead letters and idempotency."""

import threading
from typing import Any

import pytest

from taskflow import Event, Registry, Worker, publish
from taskflow.broker.settings import QueueSettings
from taskflow.brokers.aws.broker import AwsBroker
from taskflow.errors import QueueExists
from taskflow.testing import drain
from tests.contract.wire import SharedClock
from tests.taskflow.making import FIXED, Handler, failure
from tests.taskflow.worker.pools import Watch, running


@pytest.fixture
def registry() -> Registry:
    return Registry()


def test_an_event_is_handled_once(broker: AwsBroker, registry: Registry) -> None:
    handler = Handler()
    registry.subscribe("order.created", queue="work")(handler)
    worker = Worker(broker, registry=registry)
    for _ in range(2):
        publish("order.created", {"n": 1}, id="e1", broker=broker)
        worker.drain()
    assert handler.attempts == [1]
    assert broker.counts("work").visible == broker.counts("work").in_flight == 0


def test_retries_and_the_dead_letter_are_as_anywhere(
    broker: AwsBroker, registry: Registry, clock: SharedClock
) -> None:
    handler = Handler(failures=9)
    registry.subscribe("order.created", queue="work", policy=FIXED)(handler)
    Worker(broker, registry=registry)
    publish("order.created", {"n": 1}, delay=60, broker=broker)
    assert drain(broker, registry, raise_errors=False) == []  # which learns of the delay
    runs = drain(broker, registry, raise_errors=False, advance=True)
    assert [(run.attempt, run.at) for run in runs] == [(1, 1060.0), (2, 1061.0), (3, 1063.0)]
    record = failure(broker)
    assert (record["attempts"], record["error"]) == (3, "ValueError")
    handler.failures = 0
    assert broker.redrive("work-dlq") == 1
    drain(broker, registry)
    assert handler.attempts == [1, 2, 3, 1]


def test_a_pool_works_and_stops(
    broker: AwsBroker, registry: Registry, clock: SharedClock, watch: Watch
) -> None:
    seen: set[int] = set()
    lock = threading.Lock()

    def handle(event: Event[Any]) -> None:
        with lock:
            seen.add(event.payload["n"])

    registry.subscribe("order.created", queue="work")(handle)
    Worker(broker, registry=registry)
    done = watch.done(40)
    with running(broker, registry, watch):
        for n in range(40):
            publish("order.created", {"n": n}, broker=broker)
        watch.until(done)
    assert seen == set(range(40))
    assert done.is_set()
    assert broker.counts("work").in_flight == 0


def test_a_declaration_that_disagrees_says_what_would_change_it(
    broker: AwsBroker, registry: Registry
) -> None:
    broker.create_queue("work", QueueSettings(visibility_timeout=7))
    registry.subscribe("order.created", queue="work")(Handler())
    with pytest.raises(QueueExists, match=r"visibility_timeout is 7, .*topology apply"):
        Worker(broker, registry=registry)


def test_many_workers_may_start_at_once(broker: AwsBroker, registry: Registry) -> None:
    for n in range(4):
        registry.subscribe(f"order.made{n}", queue="work")(Handler())
    errors: list[BaseException] = []

    def start() -> None:
        try:
            Worker(broker, registry=registry)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(broker.subscriptions()) == 4
    for n in range(4):
        publish(f"order.made{n}", n, broker=broker)
    assert broker.counts("work").visible == 4
