"""The pool: concurrency, leases, time limits, stopping. Time is the ManualClock throughout."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from taskflow import Context, Pool, Registry, Worker, publish
from taskflow.broker import Broker, Finish
from taskflow.errors import BrokerUnavailable
from taskflow.message import Delivery
from taskflow.testing import ManualClock

WAIT = 10.0  # real seconds until a test gives up on another thread


@contextmanager
def running(
    broker: Broker, registry: Registry, concurrency: int = 4, grace: float = 30.0
) -> Iterator[Pool]:
    pool = Pool(Worker(broker, registry=registry), concurrency=concurrency, grace=grace)
    thread = threading.Thread(target=pool.run)
    thread.start()
    try:
        yield pool
    finally:
        pool.stop_now()
        thread.join(WAIT)
        assert not thread.is_alive()


def settled(broker: Broker, count: int, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once `count` messages were deleted or dead-lettered."""
    done = threading.Event()
    left = [count]
    for verb in ("delete", "dead_letter", "give_back", "change_visibility"):
        monkeypatch.setattr(broker, verb, _counting(getattr(broker, verb), verb, left, done))
    return done


def _counting(
    call: Callable[..., list[bool]], verb: str, left: list[int], done: threading.Event
) -> Callable[..., list[bool]]:
    def counted(entries: Any) -> list[bool]:
        entries = list(entries)
        answers = call(entries)
        if verb in ("delete", "dead_letter"):
            left[0] -= sum(answers)
        if left[0] <= 0:
            done.set()
        return answers

    return counted


def until(clock: ManualClock, event: threading.Event, step: float = 1.0, steps: int = 200) -> None:
    """Turn the clock until the event is set."""
    for _ in range(steps):
        if event.wait(0.02):
            return
        clock.advance(step)
    raise AssertionError("did not happen")


def test_handlers_run_at_once_up_to_the_concurrency(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    together = threading.Barrier(4)

    @taskflow_registry.subscribe("made", queue="work", retries=0)
    def meet(payload: int) -> None:
        together.wait(WAIT)  # raises unless four are here at once

    done = settled(taskflow_broker, 4, monkeypatch)
    with running(taskflow_broker, taskflow_registry, concurrency=4):
        for number in range(4):
            publish("made", number)
        until(taskflow_clock, done, step=0.01)
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
    taskflow_broker: Broker, taskflow_registry: Registry
) -> None:
    started, never = threading.Event(), threading.Event()

    @taskflow_registry.subscribe("made", queue="work")
    def stuck(payload: Any) -> None:
        started.set()
        never.wait(WAIT)

    with running(taskflow_broker, taskflow_registry) as pool:
        publish("made", 1)
        assert started.wait(WAIT)
        pool.stop_now()
    never.set()
    (back,) = taskflow_broker.receive("work")
    assert back.receive_count == 1


def test_a_stop_gives_up_waiting_after_its_grace(
    taskflow_broker: Broker, taskflow_registry: Registry, taskflow_clock: ManualClock
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
    until(taskflow_clock, ended, step=0.5)
    never.set()
    thread.join(WAIT)
    assert taskflow_clock.now() - before >= 7
    assert taskflow_broker.counts("work").visible == 1


def test_leases_are_extended_while_a_handler_runs(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started, go_on = threading.Event(), threading.Event()

    @taskflow_registry.subscribe("made", queue="work", timeout=None)
    def slow(payload: Any) -> None:
        started.set()
        assert go_on.wait(WAIT)

    extended = threading.Event()
    extend = taskflow_broker.change_visibility

    def watched(entries: Any) -> list[bool]:
        answers = extend(entries)
        extended.set()
        return answers

    monkeypatch.setattr(taskflow_broker, "change_visibility", watched)
    with running(taskflow_broker, taskflow_registry):
        publish("made", 1)
        assert started.wait(WAIT)
        for _ in range(5):  # far beyond the visibility timeout of 30 s
            extended.clear()
            until(taskflow_clock, extended)
            assert taskflow_broker.receive("work") == []
        go_on.set()
        done = settled(taskflow_broker, 1, monkeypatch)
        until(taskflow_clock, done, step=0.01)
    assert taskflow_broker.counts("work").handled == 1


def test_a_lost_lease_is_told_and_the_late_result_refused(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
) -> None:
    started, go_on, refused = threading.Event(), threading.Event(), threading.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "lost its lease" in record.getMessage():
                refused.set()

    @taskflow_registry.subscribe("made", queue="work", timeout=None)
    def slow(payload: Any, ctx: Context) -> None:
        started.set()
        assert go_on.wait(WAIT)
        knew.append(ctx.lease_lost)

    knew: list[bool] = []
    listener = Listener()
    logging.getLogger("taskflow.worker").addHandler(listener)
    with running(taskflow_broker, taskflow_registry, concurrency=1):
        publish("made", 1)
        assert started.wait(WAIT)
        (held,) = taskflow_broker.peek("work")
        # As after a long freeze of the process: the clock jumps, somebody else receives.
        taskflow_broker.clock = ManualClock(held.visible_at + 1)
        stolen = taskflow_broker.receive("work")
        assert [found.receive_count for found in stolen] == [2]
        until(taskflow_clock, refused)  # the keeper cannot extend it
        go_on.set()
    logging.getLogger("taskflow.worker").removeHandler(listener)
    assert knew == [True]
    assert taskflow_broker.delete([Finish(stolen[0])]) == [True]


@pytest.mark.parametrize("kind", ["thread", "coroutine"])
def test_a_handler_past_its_timeout_fails_that_attempt(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
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
    done = settled(taskflow_broker, 1, monkeypatch)
    with running(taskflow_broker, taskflow_registry):
        publish("made", 1)
        assert started.wait(WAIT)
        until(taskflow_clock, done)
    free.set()
    (letter,) = taskflow_broker.peek("work-dlq")
    assert '"error": "taskflow.errors.HandlerTimeout"' in letter.attributes["failure"]
    assert "timeout of 5 s" in letter.attributes["failure"]


def test_a_handler_that_cannot_be_interrupted_loses_its_thread_not_the_worker(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started, never = threading.Event(), threading.Event()

    @taskflow_registry.subscribe("made", queue="work", timeout=5, retries=0)
    def handler(payload: str) -> None:
        if payload == "stuck":
            started.set()
            never.wait()  # inside C: no exception gets in

    done = settled(taskflow_broker, 2, monkeypatch)
    with running(taskflow_broker, taskflow_registry, concurrency=1):
        publish("made", "stuck")
        assert started.wait(WAIT)
        publish("made", "fine")
        until(taskflow_clock, done)
    never.set()
    counts = taskflow_broker.counts("work")
    assert (counts.handled, counts.dead_lettered) == (1, 1)


def test_in_a_replaceable_process_a_stuck_handler_ends_the_process(
    taskflow_broker: Broker, taskflow_registry: Registry, taskflow_clock: ManualClock
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
    until(taskflow_clock, ended)
    never.set()
    thread.join(WAIT)
    assert pool.recycled == "a handler cannot be stopped"
    assert taskflow_broker.counts("work").dead_lettered == 1


def test_a_handler_that_exits_or_raises_anything_does_not_end_its_thread(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @taskflow_registry.subscribe("made", queue="work", retries=0)
    def handler(payload: int) -> None:
        raise [SystemExit(1), KeyboardInterrupt(), GeneratorExit(), BaseException("x")][payload]

    done = settled(taskflow_broker, 4, monkeypatch)
    with running(taskflow_broker, taskflow_registry, concurrency=1):
        for number in range(4):
            publish("made", number)
        until(taskflow_clock, done)
    assert taskflow_broker.counts("work").dead_lettered == 4


def test_coroutines_share_one_loop(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
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

    done = settled(taskflow_broker, 3, monkeypatch)
    with running(taskflow_broker, taskflow_registry):
        for number in range(3):
            publish("made", number)
        until(taskflow_clock, done, step=0.01)
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
    done = settled(taskflow_broker, 1, monkeypatch)
    with running(taskflow_broker, taskflow_registry):
        publish("made", 1)
        until(taskflow_clock, done, step=5)
    assert calls[0] > 5
    assert caplog.text.count("gone fishing") == 1


def test_outcomes_that_cannot_be_settled_are_kept_and_settled_later(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs: list[int] = []

    @taskflow_registry.subscribe("made", queue="work")
    def handler(payload: int) -> None:
        runs.append(payload)

    done = settled(taskflow_broker, 1, monkeypatch)
    delete, failures = taskflow_broker.delete, [3]

    def flaky(entries: Any) -> list[bool]:
        if failures[0]:
            failures[0] -= 1
            raise BrokerUnavailable("locked")
        return delete(entries)

    monkeypatch.setattr(taskflow_broker, "delete", flaky)
    with running(taskflow_broker, taskflow_registry):
        publish("made", 1)
        until(taskflow_clock, done, step=0.1)
    assert runs == [1]
    assert taskflow_broker.counts("work").handled == 1
