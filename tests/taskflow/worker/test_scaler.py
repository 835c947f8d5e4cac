"""Pools whose concurrency follows the backlog. Time is the ManualClock throughout."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from taskflow import Pool, Registry, Worker, publish
from taskflow.broker import Broker, WorkerReport
from taskflow.errors import BrokerUnavailable
from taskflow.testing import FaultBroker, ManualClock
from taskflow.worker.bounds import Bounds
from taskflow.worker.run_times import RunTimes
from taskflow.worker.scaler import COUNTED, Scaler
from taskflow.worker.slots import ASYNC, SYNC, Slots
from tests.taskflow.worker.hands import Hands
from tests.taskflow.worker.pools import UPKEEP_AND_RUN, WAIT, Watch


@contextmanager
def scaling(broker: Broker, registry: Registry, watch: Watch, **bounds: Any) -> Iterator[Pool]:
    """A pool between bounds, that works in a thread until the block ends."""
    pool = watch.pool = Pool(Worker(broker, registry=registry, observers=[watch]), **bounds)
    thread = threading.Thread(target=pool.run)
    thread.start()
    try:
        yield pool
    finally:
        pool.stop_now()
        thread.join(WAIT)
        assert not thread.is_alive()


def turn(clock: ManualClock, pool: Pool, seconds: float, step: float) -> None:
    """Let so much time go by for a pool that has nothing to do."""
    for _ in range(round(seconds / step)):
        assert clock.wait_until(lambda parked: parked >= pool.threads + UPKEEP_AND_RUN, WAIT)
        clock.advance(step)
    assert clock.wait_until(lambda parked: parked >= pool.threads + UPKEEP_AND_RUN, WAIT)


def report_of(broker: Broker) -> WorkerReport:
    (found,) = broker.workers()
    return found


def test_a_pool_grows_under_a_backlog_and_shrinks_after(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    watch: Watch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "taskflow.worker")
    go_on = threading.Event()
    together, most = set(), [0]

    @taskflow_registry.subscribe("made", queue="work", timeout=None)
    def slow(payload: int) -> None:
        together.add(payload)
        most[0] = max(most[0], len(together))
        assert go_on.wait(WAIT)
        together.discard(payload)

    two, eight = watch.after("started", 2), watch.after("started", 8)
    with scaling(taskflow_broker, taskflow_registry, watch, concurrency=(2, 8)) as pool:
        for number in range(40):
            publish("made", number)
        watch.until(two, step=0.01)
        assert taskflow_broker.counts("work").in_flight == 2, "no more are held than may start"
        watch.until(eight, step=0.5)
        for _ in range(10):  # the most is the most
            taskflow_clock.wait_until(lambda parked: False, 0.01)
            taskflow_clock.advance(1)
        assert (watch.counts["started"], pool.threads) == (8, 8)
        done = watch.done(40)
        go_on.set()
        watch.until(done, step=0.01)
        assert most[0] == 8
        changes = [one.getMessage() for one in caplog.records if "concurrency: " in one.msg]
        assert [" ".join(text.split()[:5]) for text in changes] == [
            "concurrency: threads 2 to 4:",
            "concurrency: threads 4 to 8:",
        ]
        turn(taskflow_clock, pool, 10, 10)
        report = report_of(taskflow_broker)
        assert (report.slots, report.scaling) == (8, changes[-1].removeprefix("concurrency: "))
        turn(taskflow_clock, pool, 200, 10)
        report = report_of(taskflow_broker)
        assert (pool.threads, report.slots) == (2, 2)
        assert report.scaling.startswith("threads 3 to 2: ")
        assert caplog.text.count("concurrency: threads") == 2 + 6, "told once for each change"
        again = watch.done(1)
        publish("made", 40)
        watch.until(again, step=0.01)


def test_coroutines_grow_too(
    taskflow_broker: Broker, taskflow_registry: Registry, taskflow_clock: ManualClock, watch: Watch
) -> None:
    waiting: list[asyncio.Future[None]] = []
    most = [0]

    @taskflow_registry.subscribe("made", queue="work", timeout=None)
    async def slow(payload: int) -> None:
        future = asyncio.get_running_loop().create_future()
        waiting.append(future)
        most[0] = max(most[0], len(waiting))
        if len(waiting) == 4:
            for one in waiting:
                one.set_result(None)
            waiting.clear()
        await future

    done = watch.done(12)
    bounds = {"concurrency": 1, "async_concurrency": "1..4"}
    with scaling(taskflow_broker, taskflow_registry, watch, **bounds) as pool:
        for number in range(12):
            publish("made", number)
        watch.until(done, step=0.5)
        turn(taskflow_clock, pool, 10, 10)
        assert "coroutines 2 to 4: " in report_of(taskflow_broker).scaling
    assert most[0] == 4


def test_a_pool_with_a_number_never_counts_what_waits(
    taskflow_broker: Broker, taskflow_registry: Registry, taskflow_clock: ManualClock, watch: Watch
) -> None:
    never = threading.Event()
    taskflow_registry.subscribe("made", queue="work", timeout=None)(lambda payload: never.wait(1))
    watched: Any = FaultBroker(taskflow_broker)
    started = watch.after("started", 1)
    with scaling(watched, taskflow_registry, watch, concurrency=1):
        for number in range(9):
            publish("made", number)
        watch.until(started, step=0.01)
        for _ in range(4):
            taskflow_clock.wait_until(lambda parked: False, 0.01)
            taskflow_clock.advance(1)
        never.set()
    assert watched.calls["receive"]
    assert not watched.calls["waiting"]


@pytest.mark.parametrize("bounds", [{"concurrency": "32..2"}, {"async_concurrency": (0, 4)}])
def test_bounds_that_are_none_are_refused(
    taskflow_broker: Broker, taskflow_registry: Registry, bounds: dict[str, Any]
) -> None:
    taskflow_registry.subscribe("made", queue="work")(lambda payload: None)
    (name,) = bounds
    with pytest.raises(ValueError, match=f"^{name} is .*; write a number from 1 on"):
        Pool(Worker(taskflow_broker, registry=taskflow_registry), **bounds)


class Parts:
    """A scaler of one queue without a pool: jobs are started and ended by hand."""

    def __init__(self, broker: Any, registry: Registry, bounds: dict[str, Bounds]) -> None:
        self.clock: ManualClock = broker.clock
        self.times = RunTimes()
        self.slots = Slots(registry, {kind: found.least for kind, found in bounds.items()})
        self.hands = Hands(Worker(broker, registry=registry, observers=[self.times]), self.slots)
        self.spent = 0.0
        self.resized = 0
        self.scaler = Scaler(
            broker,
            ["work"],
            self.hands.inflight,
            self.slots,
            self.times,
            bounds,
            self._resized,
            lambda: self.spent,
        )

    def _resized(self) -> None:
        self.resized += 1

    def look(self, seconds: float = 1.0, cpu: float = 0.0) -> tuple[int, int]:
        """So much later; how many threads and coroutines there may be then."""
        self.clock.advance(seconds)
        self.spent += cpu * seconds
        self.scaler.look()
        return self.slots.most(SYNC), self.slots.most(ASYNC)


def parts(broker: Any, registry: Registry, messages: int = 20, **bounds: Bounds) -> Parts:
    made = Parts(
        broker,
        registry,
        {SYNC: bounds.get("sync", Bounds(2, 32)), ASYNC: bounds.get("coroutines", Bounds(5, 5))},
    )
    for number in range(messages):
        publish("made", number)
    return made


def test_until_one_has_ended_what_runs_tells_how_long_they_take(
    taskflow_broker: Broker, taskflow_registry: Registry
) -> None:
    taskflow_registry.subscribe("made", queue="work")(lambda payload: None)
    found = parts(taskflow_broker, taskflow_registry)
    assert found.look() == (2, 5), "nothing has begun"
    found.hands.take(2)
    assert found.hands.inflight.start()
    assert found.look(0.1) == (2, 5), "18 × 0.1 s are begun in time"
    assert found.look(0.1) == (4, 5)
    assert found.resized == 1
    assert found.scaler.reason == "threads 2 to 4: 18 or more wait, 200 ms each"


def test_what_is_held_is_neither_demand_nor_demand_that_is_met(
    taskflow_broker: Broker, taskflow_registry: Registry
) -> None:
    """Ten are held and not begun: the three that wait decide, as if they were not there."""
    taskflow_registry.subscribe("made", queue="work")(lambda payload: None)
    found = parts(taskflow_broker, taskflow_registry, messages=14)
    found.hands.take(1)
    running = found.hands.inflight.start()
    assert running
    found.hands.take(10)
    assert found.look(1.0) == (3, 5)
    assert found.scaler.reason.startswith("threads 2 to 3: 3 or more wait")


def test_a_busy_core_keeps_it_from_growing(
    taskflow_broker: Broker, taskflow_registry: Registry
) -> None:
    taskflow_registry.subscribe("made", queue="work")(lambda payload: None)
    found = parts(taskflow_broker, taskflow_registry)
    found.hands.take(1)
    found.hands.inflight.start()
    assert found.look(2.0, cpu=0.95) == (2, 5)
    assert found.scaler.reason.endswith("but the process uses 95% of a core")
    assert found.look(2.0, cpu=0.5) == (4, 5)


def test_each_kind_grows_by_its_own_part_of_a_queue_with_both(
    taskflow_broker: Broker, taskflow_registry: Registry
) -> None:
    @taskflow_registry.subscribe("made", queue="work")
    async def waits(payload: int) -> None: ...

    @taskflow_registry.subscribe("other", queue="work")
    def computes(payload: int) -> None: ...

    found = Parts(taskflow_broker, taskflow_registry, {SYNC: Bounds(1, 9), ASYNC: Bounds(1, 9)})
    for number in range(10):
        publish("other", number)
    (job,) = found.hands.take(1)
    found.times.ended(job, 0.2)
    assert found.look() == (2, 1)
    assert found.scaler.reason == "threads 1 to 2: 9 or more wait, 200 ms each"


@pytest.mark.parametrize(
    ("seconds", "asked"),
    [(None, []), (4.0, [8]), (0.3, [107]), (0.000001, [COUNTED])],
)
def test_no_more_are_counted_than_decide(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float | None,
    asked: list[int],
) -> None:
    """And none while nothing is known of the time that each takes."""
    taskflow_registry.subscribe("made", queue="work")(lambda payload: None)
    found = parts(taskflow_broker, taskflow_registry)
    counted: list[int] = []

    def count(queue: str, most: int) -> int:
        counted.append(most)
        return 0

    monkeypatch.setattr(taskflow_broker, "waiting", count)
    (job,) = found.hands.take(1)
    if seconds is not None:
        found.times.ended(job, seconds)
    found.look()
    assert counted == asked


def test_a_broker_that_is_away_changes_nothing(
    taskflow_broker: Broker, taskflow_registry: Registry
) -> None:
    taskflow_registry.subscribe("made", queue="work")(lambda payload: None)
    faulty = FaultBroker(taskflow_broker)
    found = parts(faulty, taskflow_registry)
    found.hands.take(1)
    found.hands.inflight.start()
    faulty.fail("waiting")
    with pytest.raises(BrokerUnavailable):
        found.look()
    assert (found.slots.most(SYNC), found.scaler.reason) == (2, "")
    assert found.look() == (4, 5)
