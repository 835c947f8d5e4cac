"""What a worker is told: to pause, to go on, to drain; and what it says of what it runs."""

import threading

import msgspec
import pytest

from taskflow import Pool, Registry, Worker, publish
from taskflow.broker import Broker, WorkerReport
from taskflow.telemetry.spread import bound, within
from taskflow.testing import ManualClock
from taskflow.worker.orders import ORDER, tell_worker, told_to
from tests.taskflow.worker.pools import WAIT, Watch, running


def test_a_paused_worker_takes_nothing_until_it_goes_on(
    taskflow_broker: Broker, taskflow_registry: Registry, watch: Watch
) -> None:
    seen: list[int] = []
    taskflow_registry.subscribe("made", queue="work")(lambda payload: seen.append(payload))
    first = watch.done(1)
    with running(taskflow_broker, taskflow_registry, watch, concurrency=2):
        publish("made", 1)
        watch.until(first)
        watch.until_true(lambda: bool(taskflow_broker.workers()))
        (one,) = taskflow_broker.workers()
        tell_worker(taskflow_broker, one.id, "pause")
        watch.until_true(lambda: taskflow_broker.workers()[0].does == "paused")
        publish("made", 2)
        for _ in range(3):
            watch.clock.advance(5)
        assert seen == [1]
        second = watch.done(1)
        tell_worker(taskflow_broker, one.id, "")
        watch.until(second)
    assert seen == [1, 2]


def test_a_drained_worker_finishes_what_runs_however_long_and_ends(
    taskflow_broker: Broker, taskflow_registry: Registry, watch: Watch
) -> None:
    started, go_on = threading.Event(), threading.Event()

    @taskflow_registry.subscribe("made", queue="work")
    def slow(payload: int) -> None:
        started.set()
        assert go_on.wait(WAIT)

    worker = Worker(taskflow_broker, registry=taskflow_registry, observers=[watch])
    pool = watch.pool = Pool(worker, concurrency=1, grace=1.0)
    publish("made", 1)
    publish("made", 2)
    thread = threading.Thread(target=pool.run)
    thread.start()
    assert started.wait(WAIT)

    def said() -> WorkerReport:
        return taskflow_broker.workers(60)[0]

    watch.until_true(lambda: bool(said().running))
    (held,) = said().running
    assert held["queue"] == "work"
    assert held["handler"].endswith(".slow")
    assert held["since"] == 1_800_000_000.0
    id = said().id
    tell_worker(taskflow_broker, id, "drain")
    watch.until_true(lambda: said().does == "draining")
    for _ in range(3):
        watch.clock.advance(5)  # far beyond its grace
    assert thread.is_alive()
    go_on.set()
    thread.join(WAIT)
    assert not thread.is_alive()
    assert not pool.left_behind
    counts = taskflow_broker.counts("work")
    assert (counts.handled, counts.visible) == (1, 1)
    assert taskflow_broker.workers() == []
    assert taskflow_broker.records(ORDER, [id]) == {}


def test_a_worker_says_which_release_it_is_and_how_long_messages_waited(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    watch: Watch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TASKFLOW_RELEASE", "4f2a91c")
    taskflow_registry.subscribe("made", queue="work")(lambda payload: None)
    done = watch.done(1)
    with running(taskflow_broker, taskflow_registry, watch, concurrency=2):
        publish("made", 1)
        watch.until(done)
        watch.until_true(lambda: bool(taskflow_broker.workers()[0].waits))
        (one,) = taskflow_broker.workers()
    assert one.release == "4f2a91c"
    assert sum(one.waits["work"].values()) == 1


def test_a_report_of_an_older_release_is_read_and_times_are_rounded_up() -> None:
    old = {"id": "w", "host": "h", "pid": 1, "queues": ["q"], "started_at": 0.0, "busy": 0}
    old |= {"slots": 1, "handlers": {}, "failures": []}
    read = msgspec.json.decode(msgspec.json.encode(old), type=WorkerReport)
    assert (read.running, read.does, read.times) == ([], "", {})
    assert (read.waits, read.release) == ({}, "")
    times = [{0: 1, 2: 8}, {2: 90, 8: 1}]
    assert (within(times, 0.5), within(times, 0.99), within(times, 1.0)) == (2.0, 2.0, bound(8))
    assert within([], 0.5) is None


def test_nobody_was_told_anything(taskflow_broker: Broker, taskflow_clock: ManualClock) -> None:
    tell_worker(taskflow_broker, "w", "")
    assert told_to(taskflow_broker, "w") == ""
    tell_worker(taskflow_broker, "w", "drain")
    taskflow_clock.advance(31 * 86400)
    assert told_to(taskflow_broker, "w") == ""
