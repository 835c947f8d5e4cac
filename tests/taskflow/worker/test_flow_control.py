"""Concurrency limits, rates, weights, bursts, recycling: what a pool may start."""

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from taskflow import Pool, Registry, Worker, publish
from taskflow.broker import Broker, Finish
from taskflow.entry_options import parse_rate
from taskflow.errors import ConfigError, RegistrationError
from taskflow.message import Delivery
from taskflow.testing import ManualClock
from taskflow.version import VERSION
from tests.taskflow.worker.pools import WAIT, Watch


def start(pool: Pool) -> threading.Thread:
    thread = threading.Thread(target=pool.run)
    thread.start()
    return thread


def finish(pool: Pool, thread: threading.Thread, now: bool = True) -> None:
    if now:
        pool.stop_now()
    thread.join(WAIT)
    assert not thread.is_alive()


def test_a_handler_runs_no_more_often_at_once_than_its_limit(
    taskflow_broker: Broker, taskflow_registry: Registry, watch: Watch
) -> None:
    lock, go_on, all_done = threading.Lock(), threading.Semaphore(0), threading.Event()
    running, most, done = [0], [0], [0]
    two_run = threading.Event()

    @taskflow_registry.subscribe("made", queue="work", concurrency=2, timeout=None)
    def limited(payload: int) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
            if running[0] == 2:
                two_run.set()
        assert go_on.acquire(timeout=WAIT)
        with lock:
            running[0] -= 1
            done[0] += 1
            if done[0] == 6:
                all_done.set()

    worker = Worker(taskflow_broker, registry=taskflow_registry, observers=[watch])
    pool = watch.pool = Pool(worker, concurrency=8)
    for number in range(6):
        publish("made", number)
    thread = start(pool)
    watch.until(two_run, 0.01)
    for _ in range(6):
        go_on.release()
    watch.until(all_done, 0.01)
    pool.stop()  # lets the last one return
    finish(pool, thread, now=False)
    assert most[0] == 2
    assert taskflow_broker.counts("work").handled == 6


def test_a_limited_queue_does_not_hold_up_another(
    taskflow_broker: Broker, taskflow_registry: Registry, watch: Watch
) -> None:
    started, never, other = threading.Event(), threading.Event(), threading.Event()

    @taskflow_registry.subscribe("slow", queue="slow", concurrency=1, timeout=None)
    def slow(payload: int) -> None:
        started.set()
        never.wait(WAIT)

    @taskflow_registry.subscribe("quick", queue="quick")
    def quick(payload: int) -> None:
        other.set()

    worker = Worker(taskflow_broker, registry=taskflow_registry, observers=[watch])
    pool = watch.pool = Pool(worker, concurrency=2)
    publish("slow", 1)
    publish("slow", 2)
    thread = start(pool)
    watch.until(started, 0.01)
    publish("quick", 1)
    watch.until(other, 0.01)
    assert taskflow_broker.counts("slow").visible == 1, "the second was not even received"
    never.set()
    finish(pool, thread)


def test_a_freed_limit_is_used_although_the_leader_waits_on_other_queues(
    taskflow_broker: Broker, taskflow_registry: Registry, taskflow_clock: ManualClock, watch: Watch
) -> None:
    started, go_on, second = threading.Event(), threading.Event(), threading.Event()

    @taskflow_registry.subscribe("slow", queue="slow", concurrency=1, timeout=None)
    def slow(payload: int) -> None:
        (started if payload == 1 else second).set()
        assert go_on.wait(WAIT)

    @taskflow_registry.subscribe("quick", queue="quick")
    def quick(payload: int) -> None:
        """Only there to be waited on."""

    worker = Worker(taskflow_broker, registry=taskflow_registry, observers=[watch])
    pool = watch.pool = Pool(worker, concurrency=3)
    publish("slow", 1)
    publish("slow", 2)
    thread = start(pool)
    watch.until(started, 0.01)
    taskflow_clock.wait_until_parked(2)
    before = taskflow_clock.now()
    go_on.set()
    assert second.wait(WAIT), "no time has to pass"
    assert taskflow_clock.now() == before
    finish(pool, thread)


def test_a_rate_is_kept_over_time(
    taskflow_broker: Broker, taskflow_registry: Registry, taskflow_clock: ManualClock, watch: Watch
) -> None:
    starts: list[float] = []
    enough = threading.Event()

    @taskflow_registry.subscribe("made", queue="work", rate="2/s")
    def limited(payload: int) -> None:
        starts.append(taskflow_clock.now())
        if len(starts) == 9:
            enough.set()

    worker = Worker(taskflow_broker, registry=taskflow_registry, observers=[watch])
    pool = watch.pool = Pool(worker, concurrency=4)
    for number in range(20):
        publish("made", number)
    begin = taskflow_clock.now()
    thread = start(pool)
    watch.until(enough, 0.1)
    finish(pool, thread)
    for number, at in enumerate(starts):
        assert at - begin >= number / 2 - 0.001, "never ahead of 2 a second"


def test_two_pools_of_one_broker_share_a_rate(
    taskflow_broker: Broker, taskflow_registry: Registry, taskflow_clock: ManualClock, watch: Watch
) -> None:
    starts: list[float] = []
    enough = threading.Event()

    @taskflow_registry.subscribe("made", queue="work", rate="1/s")
    def limited(payload: int) -> None:
        starts.append(taskflow_clock.now())
        if len(starts) == 6:
            enough.set()

    pools = [
        Pool(Worker(taskflow_broker, registry=taskflow_registry, observers=[watch]))
        for _ in range(2)
    ]
    for number in range(12):
        publish("made", number)
    begin = taskflow_clock.now()
    threads = [start(pool) for pool in pools]
    watch.until(enough, 0.2)
    for pool, thread in zip(pools, threads, strict=True):
        finish(pool, thread)
    # Both may see the same token once; the bucket then owes it.
    assert starts[5] - begin >= 4.0


@pytest.mark.parametrize(
    ("text", "per_second"),
    [("100/s", 100), ("30/m", 0.5), ("36/h", 0.01), ("5", 5), (2.5, 2.5), (1, 1)],
)
def test_rates(text: str | float, per_second: float) -> None:
    assert parse_rate(text) == pytest.approx(per_second)


@pytest.mark.parametrize("text", ["", "x", "1/d", "0/s", "-1/s", "nan", "inf", "1/s/s"])
def test_bad_rates_are_refused_at_import(text: str) -> None:
    with pytest.raises(RegistrationError, match="examples: '100/s'"):
        Registry().subscribe("made", queue="work", rate=text)


@pytest.mark.parametrize("limit", [0, -1, 1.5, True])
def test_bad_concurrency_is_refused_at_import(limit: Any) -> None:
    with pytest.raises(RegistrationError, match="concurrency is"):
        Registry().subscribe("made", queue="work", concurrency=limit)


def two_queues(registry: Registry) -> None:
    for name in ("a", "b"):
        registry.subscribe("made", queue=name)(_ignore)


def _ignore(payload: Any) -> None:
    """A handler."""


def test_weights_decide_how_often_a_queue_is_asked_first(
    taskflow_broker: Broker, taskflow_registry: Registry
) -> None:
    two_queues(taskflow_registry)
    worker = Worker(taskflow_broker, {"a": 3, "b": 1}, registry=taskflow_registry)
    firsts = [worker.queue_order()[0] for _ in range(2000)]
    assert 0.70 < firsts.count("a") / 2000 < 0.80


def test_without_weights_queues_take_turns(
    taskflow_broker: Broker, taskflow_registry: Registry
) -> None:
    two_queues(taskflow_registry)
    worker = Worker(taskflow_broker, registry=taskflow_registry)
    firsts = [worker.queue_order()[0] for _ in range(2000)]
    assert 0.45 < firsts.count("a") / 2000 < 0.55


def test_strict_order_is_the_order_given(
    taskflow_broker: Broker, taskflow_registry: Registry
) -> None:
    two_queues(taskflow_registry)
    worker = Worker(taskflow_broker, ["b", "a"], strict=True, registry=taskflow_registry)
    assert all(worker.queue_order() == ["b", "a"] for _ in range(50))


def test_no_queues_are_all_queues_as_a_mapping_too(
    taskflow_broker: Broker, taskflow_registry: Registry
) -> None:
    two_queues(taskflow_registry)
    nothing: tuple[Mapping[str, float], list[str]] = ({}, [])
    for none in nothing:
        worker = Worker(taskflow_broker, none, registry=taskflow_registry)
        assert sorted(worker.queue_order()) == ["a", "b"]


def test_a_weight_is_above_zero(taskflow_broker: Broker, taskflow_registry: Registry) -> None:
    two_queues(taskflow_registry)
    with pytest.raises(ConfigError, match="above 0"):
        Worker(taskflow_broker, {"a": 0}, registry=taskflow_registry)


def test_a_burst_handles_what_is_due_and_what_follows_then_ends(
    taskflow_broker: Broker, taskflow_registry: Registry
) -> None:
    seen: list[int] = []

    @taskflow_registry.subscribe("made", queue="work")
    def chain(payload: int) -> None:
        seen.append(payload)
        if payload:
            publish("made", payload - 1, broker=taskflow_broker)

    pool = Pool(Worker(taskflow_broker, registry=taskflow_registry), burst=True)
    publish("made", 5)
    publish("made", 0, delay=60)
    thread = start(pool)
    thread.join(WAIT)
    assert not thread.is_alive()
    assert seen == [5, 4, 3, 2, 1, 0]
    assert taskflow_broker.counts("work").delayed == 1


def test_a_burst_settles_many_at_once(
    taskflow_broker: Broker, taskflow_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []
    taskflow_registry.subscribe("t", queue="q")(done.append)
    worker = Worker(taskflow_broker, registry=taskflow_registry)
    worker.declare()
    for number in range(200):
        publish("t", number, broker=taskflow_broker)
    settled: list[int] = []
    delete = taskflow_broker.delete

    def counted(entries: Sequence[Finish], **named: Any) -> list[bool]:
        settled.append(len(entries))
        return delete(entries, **named)

    monkeypatch.setattr(taskflow_broker, "delete", counted)
    Pool(worker, concurrency=1, burst=True).run()
    assert sorted(done) == list(range(200))
    assert sum(settled) == 200
    assert len(settled) < 50  # the first few, one by one: nobody knows how long they take


def test_a_burst_looks_once_more_before_it_ends(
    taskflow_broker: Broker, taskflow_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler may publish, and end, just after the leader has found nothing."""
    taskflow_registry.subscribe("made", queue="work")(_ignore)
    pool = Pool(Worker(taskflow_broker, registry=taskflow_registry), concurrency=1, burst=True)
    receive, late = taskflow_broker.receive, [1]

    def found_nothing(*queues: str, **more: Any) -> list[Delivery]:
        taken = receive(*queues, **more)
        if not taken and late:
            publish("made", late.pop())
        return taken

    monkeypatch.setattr(taskflow_broker, "receive", found_nothing)
    thread = start(pool)
    thread.join(WAIT)
    assert not thread.is_alive()
    assert taskflow_broker.counts("work").handled == 1


def test_a_burst_waits_for_what_a_rate_holds_back(
    taskflow_broker: Broker, taskflow_registry: Registry, watch: Watch
) -> None:
    taskflow_registry.subscribe("made", queue="work", rate="1/s")(_ignore)
    worker = Worker(taskflow_broker, registry=taskflow_registry, observers=[watch])
    pool = watch.pool = Pool(worker, burst=True)
    for number in range(4):
        publish("made", number)
    ended = threading.Event()

    def run() -> None:
        pool.run()
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    watch.until(ended, 0.1)
    thread.join(WAIT)
    assert taskflow_broker.counts("work").handled == 4


def test_after_max_tasks_the_pool_asks_to_be_replaced_and_loses_nothing(
    taskflow_broker: Broker, taskflow_registry: Registry
) -> None:
    taskflow_registry.subscribe("made", queue="work")(_ignore)
    pool = Pool(Worker(taskflow_broker, registry=taskflow_registry), concurrency=1, max_tasks=5)
    for number in range(20):
        publish("made", number)
    thread = start(pool)
    thread.join(WAIT)
    assert not thread.is_alive()
    assert pool.recycled == "5 runs"
    counts = taskflow_broker.counts("work")
    assert (counts.handled, counts.visible, counts.in_flight) == (5, 15, 0)
    assert {found.receive_count for found in taskflow_broker.peek("work")} == {0}


def test_a_pool_that_grew_too_large_asks_to_be_replaced(
    taskflow_broker: Broker, taskflow_registry: Registry, watch: Watch
) -> None:
    taskflow_registry.subscribe("made", queue="work")(_ignore)
    worker = Worker(taskflow_broker, registry=taskflow_registry, observers=[watch])
    pool = watch.pool = Pool(worker, max_memory=2**20)
    publish("made", 1, broker=taskflow_broker)
    stopped = watch.after("stopped")
    thread = start(pool)
    watch.until(stopped, 10)  # at the first beat after a run
    thread.join(WAIT)
    assert not thread.is_alive()
    assert pool.recycled is not None
    assert pool.recycled.endswith("MiB of memory")


def test_a_running_pool_reports_and_retires(
    taskflow_broker: Broker, taskflow_registry: Registry, taskflow_clock: ManualClock, watch: Watch
) -> None:
    @taskflow_registry.subscribe("made", queue="work", retries=0)
    def handle(payload: int) -> None:
        raise ValueError("no")

    failed = watch.done(1)

    worker = Worker(taskflow_broker, registry=taskflow_registry, observers=[watch])
    pool = watch.pool = Pool(worker, concurrency=3)
    thread = start(pool)
    publish("made", 1)
    watch.until(failed)
    taskflow_clock.wait_until_parked(5)
    taskflow_clock.advance(10)  # a report each ten seconds
    taskflow_clock.wait_until_parked(5)
    (report,) = taskflow_broker.workers()
    assert (report.version, report.said_at) == (VERSION, report.seen_at)
    assert (report.queues, report.slots) == (("work",), 3)
    assert [totals["failed"] for totals in report.handlers.values()] == [1]
    assert report.failures[0]["error"] == "ValueError"
    finish(pool, thread)
    assert taskflow_broker.workers() == []


def test_a_pool_tells_whether_it_is_alive_and_ready(
    taskflow_broker: Broker, taskflow_registry: Registry, taskflow_clock: ManualClock
) -> None:
    taskflow_registry.subscribe("made", queue="work")(_ignore)
    pool = Pool(Worker(taskflow_broker, registry=taskflow_registry))
    assert pool.problems() == ([], ["starting"])
    thread = start(pool)
    taskflow_clock.wait_until_parked(2)
    assert pool.problems() == ([], [])
    pool.stop()
    assert pool.problems() == ([], ["stopping"])
    thread.join(WAIT)
