"""Leases while a handler runs, and handlers that run too long or end badly."""

import asyncio
import threading
from typing import Any

import pytest

from taskflow import Context, Pool, Registry, Worker, publish
from taskflow.broker import Broker, Finish
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.message import FAILURE, plain_text
from taskflow.testing import ManualClock
from tests.taskflow.worker.pools import WAIT, Watch, running


@pytest.mark.slow
def test_leases_are_extended_while_a_handler_runs(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    watch: Watch,
) -> None:
    started, go_on = threading.Event(), threading.Event()

    @taskflow_registry.subscribe("made", queue="work", timeout=None)
    def slow(payload: Any) -> None:
        started.set()
        assert go_on.wait(WAIT)

    with running(taskflow_broker, taskflow_registry, watch):
        publish("made", 1)
        assert started.wait(WAIT)
        for _ in range(5):  # far beyond the visibility timeout of 30 s
            watch.until(watch.after("extended"))
            assert taskflow_broker.receive("work") == []
        go_on.set()
        done = watch.done(1)
        watch.until(done, step=0.01)
    assert taskflow_broker.counts("work").handled == 1


def test_a_lost_lease_is_told_and_the_late_result_refused(
    taskflow_broker: Broker, taskflow_registry: Registry, taskflow_clock: ManualClock, watch: Watch
) -> None:
    started, go_on = threading.Event(), threading.Event()

    @taskflow_registry.subscribe("made", queue="work", timeout=None)
    def slow(payload: Any, ctx: Context) -> None:
        started.set()
        assert go_on.wait(WAIT)
        knew.append(ctx.lease_lost)

    knew: list[bool] = []
    with running(taskflow_broker, taskflow_registry, watch, concurrency=1):
        publish("made", 1)
        assert started.wait(WAIT)
        (held,) = taskflow_broker.peek("work")
        # As after a long freeze of the process: the clock jumps, somebody else receives.
        assert isinstance(taskflow_broker, StoredBroker)
        later = StoredBroker(taskflow_broker.store, clock=ManualClock(held.visible_at + 1))
        stolen = later.receive("work")
        assert [found.receive_count for found in stolen] == [2]
        watch.until(watch.after("lost"))  # the upkeep cannot extend it
        ended = watch.after("ended")
        go_on.set()
        assert ended.wait(WAIT)
    assert knew == [True]
    assert taskflow_broker.delete([Finish(stolen[0])]) == [True]


@pytest.mark.parametrize("kind", ["thread", "coroutine"])
def test_a_handler_past_its_timeout_fails_that_attempt(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    watch: Watch,
    kind: str,
) -> None:
    started, free = threading.Event(), threading.Event()

    def spin(payload: Any) -> None:
        started.set()
        while not free.is_set():
            pass

    async def hang(payload: Any) -> None:
        started.set()
        await asyncio.get_running_loop().create_future()

    handler = spin if kind == "thread" else hang
    taskflow_registry.subscribe("made", queue="work", timeout=5, retries=0)(handler)
    done = watch.done(1)
    with running(taskflow_broker, taskflow_registry, watch):
        publish("made", 1)
        assert started.wait(WAIT)
        watch.until(done)
    free.set()
    (letter,) = taskflow_broker.peek("work-dlq")
    failure = plain_text(letter.attributes[FAILURE])
    assert '"error": "taskflow.errors.HandlerTimeout"' in failure
    assert "timeout of 5 s" in failure


def test_a_handler_that_cannot_be_interrupted_loses_its_thread_not_the_worker(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    watch: Watch,
) -> None:
    started, never = threading.Event(), threading.Event()

    @taskflow_registry.subscribe("made", queue="work", timeout=5, retries=0)
    def handler(payload: str) -> None:
        if payload == "stuck":
            started.set()
            never.wait()  # inside C: no exception gets in

    done = watch.done(2)
    with running(taskflow_broker, taskflow_registry, watch, concurrency=1):
        publish("made", "stuck")
        assert started.wait(WAIT)
        publish("made", "fine")
        watch.until(done)
    never.set()
    counts = taskflow_broker.counts("work")
    assert (counts.handled, counts.dead_lettered) == (1, 1)


def test_in_a_replaceable_process_a_stuck_handler_ends_the_process(
    taskflow_broker: Broker, taskflow_registry: Registry, taskflow_clock: ManualClock, watch: Watch
) -> None:
    started, never, ended = threading.Event(), threading.Event(), threading.Event()

    @taskflow_registry.subscribe("made", queue="work", timeout=5, retries=0)
    def stuck(payload: str) -> None:
        started.set()
        never.wait()

    worker = Worker(taskflow_broker, registry=taskflow_registry)
    pool = Pool(worker, concurrency=2, grace=3, replaceable=True)

    def run() -> None:
        pool.run()
        ended.set()

    publish("made", "stuck")
    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(WAIT)
    watch.until(ended)
    never.set()
    thread.join(WAIT)
    assert pool.recycled == "a handler cannot be stopped"
    assert taskflow_broker.counts("work").dead_lettered == 1


def test_a_handler_that_exits_or_raises_anything_does_not_end_its_thread(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    watch: Watch,
) -> None:
    @taskflow_registry.subscribe("made", queue="work", retries=0)
    def handler(payload: int) -> None:
        raise [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), BaseException("x")][payload]

    done = watch.done(4)
    with running(taskflow_broker, taskflow_registry, watch, concurrency=1):
        for number in range(4):
            publish("made", number)
        watch.until(done)
    assert taskflow_broker.counts("work").dead_lettered == 4
