"""The pool: concurrency, batches, stopping, outages. Time is the ManualClock throughout."""

import asyncio
import threading
from collections import Counter
from typing import Any

import pytest

from taskflow import Pool, Registry, Worker, publish
from taskflow.broker import Broker
from taskflow.broker.change import Change, Put
from taskflow.errors import BrokerUnavailable
from taskflow.message import Delivery
from taskflow.testing import FaultBroker, ManualClock
from tests.taskflow.worker.pools import WAIT, Watch, running


def test_handlers_run_at_once_up_to_the_concurrency(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    watch: Watch,
) -> None:
    together = threading.Barrier(4)

    @taskflow_registry.subscribe("made", queue="work", retries=0)
    def meet(payload: int) -> None:
        together.wait(WAIT)  # raises unless four are here at once

    done = watch.done(4)
    with running(taskflow_broker, taskflow_registry, watch, concurrency=4):
        for number in range(4):
            publish("made", number)
        watch.until(done, step=0.01)
    assert taskflow_broker.counts("work").handled == 4


def test_a_graceful_stop_finishes_what_runs_and_gives_the_rest_back(
    taskflow_broker: Broker, taskflow_registry: Registry
) -> None:
    started, go_on = threading.Event(), threading.Event()
    seen: list[int] = []

    @taskflow_registry.subscribe("made", queue="work")
    def slow(payload: dict[str, int]) -> None:
        seen.append(payload["n"])
        started.set()
        assert go_on.wait(WAIT)

    pool = Pool(Worker(taskflow_broker, registry=taskflow_registry), concurrency=1)
    for number in range(3):
        publish("made", {"n": number})
    thread = threading.Thread(target=pool.run)
    thread.start()
    assert started.wait(WAIT)
    pool.stop()
    go_on.set()
    thread.join(WAIT)
    assert seen == [0]
    counts = taskflow_broker.counts("work")
    assert (counts.handled, counts.visible, counts.in_flight) == (1, 2, 0)
    assert [letter.receive_count for letter in taskflow_broker.peek("work")] == [0, 0]


def test_stop_now_gives_back_what_runs_and_burns_no_attempt(
    taskflow_broker: Broker, taskflow_registry: Registry, watch: Watch
) -> None:
    started, never = threading.Event(), threading.Event()

    @taskflow_registry.subscribe("made", queue="work")
    def stuck(payload: Any) -> None:
        started.set()
        never.wait(WAIT)

    with running(taskflow_broker, taskflow_registry, watch) as pool:
        publish("made", 1)
        assert started.wait(WAIT)
        pool.stop_now()
    never.set()
    (back,) = taskflow_broker.receive("work")
    assert back.receive_count == 1


def test_a_stop_gives_up_waiting_after_its_grace(
    taskflow_broker: Broker, taskflow_registry: Registry, taskflow_clock: ManualClock, watch: Watch
) -> None:
    started, never = threading.Event(), threading.Event()

    @taskflow_registry.subscribe("made", queue="work", timeout=None)
    def stuck(payload: Any) -> None:
        started.set()
        never.wait(WAIT)

    pool = Pool(Worker(taskflow_broker, registry=taskflow_registry), concurrency=1, grace=7)
    publish("made", 1)
    ended = threading.Event()

    def run() -> None:
        pool.run()
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(WAIT)
    before = taskflow_clock.now()
    pool.stop()
    watch.until(ended, step=0.5)
    never.set()
    thread.join(WAIT)
    assert taskflow_clock.now() - before >= 7
    assert taskflow_broker.counts("work").visible == 1


def test_coroutines_share_one_loop(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    watch: Watch,
) -> None:
    loops: set[int] = set()
    arrived: list[asyncio.Future[None]] = []

    @taskflow_registry.subscribe("made", queue="work")
    async def meet(payload: Any) -> None:
        loop = asyncio.get_running_loop()
        loops.add(id(loop))
        arrived.append(loop.create_future())
        if len(arrived) == 3:
            for future in arrived:
                future.set_result(None)
        await arrived[-1] if len(arrived) < 3 else None

    done = watch.done(3)
    with running(taskflow_broker, taskflow_registry, watch):
        for number in range(3):
            publish("made", number)
        watch.until(done, step=0.01)
    assert len(loops) == 1


def test_acknowledgements_of_short_handlers_go_in_batches(
    taskflow_broker: Broker, taskflow_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    handled = threading.Event()

    @taskflow_registry.subscribe("made", queue="work")
    def quick(payload: int) -> None:
        if payload == 199:
            handled.set()

    worker = Worker(taskflow_broker, registry=taskflow_registry)
    for number in range(200):
        publish("made", number)
    batches: list[int] = []
    delete = taskflow_broker.delete

    def counted(entries: Any) -> list[bool]:
        batches.append(len(entries))
        return delete(entries)

    monkeypatch.setattr(taskflow_broker, "delete", counted)
    pool = Pool(worker, concurrency=10)
    thread = threading.Thread(target=pool.run)
    thread.start()
    assert handled.wait(WAIT)
    pool.stop()
    thread.join(WAIT)
    assert sum(batches) == 200 - taskflow_broker.counts("work").visible
    assert len(batches) < 100


def test_an_outage_is_ridden_out_and_logged_once(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    watch: Watch,
) -> None:
    @taskflow_registry.subscribe("made", queue="work")
    def handler(payload: Any) -> None:
        pass

    receive, calls = taskflow_broker.receive, [0]

    def flaky(*queues: str, **more: Any) -> list[Delivery]:
        calls[0] += 1
        if calls[0] <= 5:
            raise BrokerUnavailable("gone fishing")
        return receive(*queues, **more)

    monkeypatch.setattr(taskflow_broker, "receive", flaky)
    done = watch.done(1)
    with running(taskflow_broker, taskflow_registry, watch):
        publish("made", 1)
        watch.until(done, step=5)
    assert calls[0] > 5
    assert caplog.text.count("gone fishing") == 1


def test_outcomes_that_cannot_be_settled_are_kept_and_settled_later(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    watch: Watch,
) -> None:
    runs: list[int] = []

    @taskflow_registry.subscribe("made", queue="work")
    def handler(payload: int) -> None:
        runs.append(payload)

    done = watch.done(1)
    delete, failures = taskflow_broker.delete, [3]

    def flaky(entries: Any) -> list[bool]:
        if failures[0]:
            failures[0] -= 1
            raise BrokerUnavailable("locked")
        return delete(entries)

    monkeypatch.setattr(taskflow_broker, "delete", flaky)
    with running(taskflow_broker, taskflow_registry, watch):
        publish("made", 1)
        watch.until(done, step=0.1)
    assert runs == [1]
    assert taskflow_broker.counts("work").handled == 1
    assert caplog.text.count("outcomes wait to be settled") == 1, "told once, not at each try"


def test_one_of_many_pools_does_the_brokers_upkeep(
    taskflow_broker: Broker, taskflow_registry: Registry, taskflow_clock: ManualClock
) -> None:
    """Records past their time go; a pool that is not the one leaves that to it."""
    taskflow_registry.subscribe("made", queue="work")(lambda payload: None)

    def live() -> Counter[str]:
        now = taskflow_clock.now()
        put = Put(kind="run", key="1", value="", expires_at=now + 1)
        taskflow_broker.apply([Change(records=[put])])
        taskflow_clock.advance(2)
        watched = FaultBroker(taskflow_broker)
        worker: Any = Worker(watched, registry=taskflow_registry)
        Pool(worker, concurrency=1, burst=True).run()
        return watched.calls

    assert live()["upkeep"] == 1
    assert taskflow_broker.count_records("run") == {}
    calls = live()  # the first one is thought to be alive still
    assert (calls["hold"], calls["upkeep"]) == (1, 0)
    taskflow_clock.advance(30)
    assert live()["upkeep"] == 1
