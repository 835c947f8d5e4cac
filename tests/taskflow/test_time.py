"""Deterministic time: what takes hours happens at once, to the second.

The same demonstrations run on a ManualClock and, with the system clock, under freezegun.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest
from freezegun import freeze_time

from taskflow import Broker, Event, Registry, RetryPolicy, Worker, open_broker, publish
from taskflow.broker import Finish
from taskflow.message import FAILURE, Message, plain_text
from taskflow.publisher import using
from taskflow.testing import ManualClock, Run

BACKOFF = RetryPolicy(retries=5, backoff=1.0, factor=2.0, jitter=False)
TIMES = [0, 1, 3, 7, 15, 31]


class Time(Protocol):
    def advance(self, seconds: float) -> None: ...


class Frozen:
    """freezegun's hand on the system clock."""

    def __init__(self, frozen: Any) -> None:
        self._frozen = frozen

    def advance(self, seconds: float) -> None:
        self._frozen.tick(seconds)


@pytest.fixture(params=["manual", "freezegun"])
def time(request: pytest.FixtureRequest) -> Iterator[Time]:
    if request.param == "manual":
        yield ManualClock()
    else:
        with freeze_time("2026-01-31T12:00:00Z") as frozen:
            yield Frozen(frozen)


@pytest.fixture
def broker(time: Time) -> Iterator[Broker]:
    opened = open_broker("memory://", clock=time if isinstance(time, ManualClock) else None)
    with using(opened):
        yield opened
    opened.close()


@pytest.fixture
def work(broker: Broker, taskflow_registry: Registry) -> Callable[..., Worker]:
    """A worker on `audit` whose handler fails the first so many times, and notes when it ran."""

    def work(failures: int, ran_at: list[float], **options: Any) -> Worker:
        options.setdefault("policy", BACKOFF)

        @taskflow_registry.subscribe("order.created", queue="audit", **options)
        def record(event: Event[Any]) -> None:
            ran_at.append(broker.clock.now() - event.time)
            if len(ran_at) <= failures:
                raise ValueError("database is away")

        return Worker(broker, registry=taskflow_registry)

    return work


def pass_time(worker: Worker, time: Time, seconds: int) -> None:
    """Second by second."""
    worker.drain()
    for _ in range(seconds):
        time.advance(1)
        worker.drain()


def test_five_failures_run_at_the_backoff_times_and_then_it_succeeds(
    broker: Broker, time: Time, work: Callable[..., Worker]
) -> None:
    ran_at: list[float] = []
    worker = work(5, ran_at)
    publish("order.created", {"order_id": "o1"})
    pass_time(worker, time, 60)
    assert ran_at == pytest.approx(TIMES, abs=1e-5)
    assert broker.counts("audit").handled == 1
    assert broker.counts("audit-dlq").visible == 0


def test_drain_makes_the_same_jumps_by_itself(
    taskflow_clock: ManualClock,
    taskflow_registry: Registry,
    taskflow_drain: Callable[..., list[Run]],
) -> None:
    @taskflow_registry.subscribe("order.created", queue="audit", policy=BACKOFF)
    def record(event: Event[Any]) -> None:
        if event.attempt <= 5:
            raise ValueError("database is away")

    taskflow_drain(taskflow_registry)
    start = taskflow_clock.now()
    publish("order.created", {"order_id": "o1"})
    runs = taskflow_drain(taskflow_registry, advance=True, raise_errors=False)
    assert [(run.attempt, run.at - start) for run in runs] == list(enumerate(TIMES, 1))
    assert runs[-1].outcome.error is None


def test_the_sixth_failure_of_five_retries_is_in_the_dead_letters(
    broker: Broker, time: Time, work: Callable[..., Worker]
) -> None:
    ran_at: list[float] = []
    worker = work(99, ran_at)
    event_id = publish("order.created", {"order_id": "o1"})
    pass_time(worker, time, 30)
    assert (len(ran_at), broker.counts("audit-dlq").visible) == (5, 0)
    pass_time(worker, time, 30)
    assert len(ran_at) == 6
    (letter,) = broker.peek("audit-dlq")
    failure = json.loads(plain_text(letter.attributes[FAILURE]))
    assert (letter.id, failure["attempts"], failure["message"]) == (event_id, 6, "database is away")


def test_a_visibility_timeout_ends_and_the_old_receipt_is_stale(broker: Broker, time: Time) -> None:
    broker.create_queue("work")
    broker.send("work", [Message("1", "x")])
    (old,) = broker.receive("work", visibility=30)
    time.advance(29)
    assert broker.receive("work") == []
    time.advance(1)
    (new,) = broker.receive("work", visibility=30)
    assert (new.id, new.receive_count) == (old.id, 2)
    assert broker.change_visibility([(old, 30)]) == [False]
    assert broker.delete([Finish(old)]) == [False]
    assert broker.delete([Finish(new)]) == [True]


def test_a_delay_passes(broker: Broker, time: Time, work: Callable[..., Worker]) -> None:
    ran_at: list[float] = []
    worker = work(0, ran_at)
    publish("order.created", 1, delay=3600)
    time.advance(3599)
    assert worker.drain() == []
    time.advance(1)
    worker.drain()
    assert ran_at == pytest.approx([3600], abs=1e-5)


def test_retention_passes(broker: Broker, time: Time, work: Callable[..., Worker]) -> None:
    ran_at: list[float] = []
    worker = work(0, ran_at)
    publish("order.created", 1)
    retention = broker.settings("audit").retention
    time.advance(retention - 1)
    assert broker.counts("audit").visible == 1
    time.advance(1)
    assert worker.drain() == []
    assert (ran_at, broker.counts("audit").visible) == ([], 0)


def test_the_idempotency_window_passes(
    broker: Broker, time: Time, work: Callable[..., Worker]
) -> None:
    ran_at: list[float] = []
    worker = work(0, ran_at, window=600)
    for pause, runs in [(0, 1), (599, 1), (1, 2)]:
        time.advance(pause)
        publish("order.created", 1, id="e1")
        worker.drain()
        assert len(ran_at) == runs
