"""What handlers do that nobody asked for, and that must not hurt their worker or the next run."""

import asyncio
import contextvars
import logging
import random
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from taskflow import Context, Registry, Reject, publish
from taskflow.broker import Broker
from taskflow.errors import HandlerInterrupt
from taskflow.message import FAILURE, plain_text
from taskflow.retry import Dead, Done
from taskflow.testing import ManualClock, drain
from taskflow.worker.execute import execute, find_job
from tests.taskflow.making import delivery
from tests.taskflow.worker.pools import WAIT, Watch, running

tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="nobody")


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Odd:
    def __repr__(self) -> str:
        raise RuntimeError("no text")


def once(registry: Registry, handler: Callable[..., Any], **options: Any) -> Any:
    registry.subscribe("made", queue="work", retries=0, **options)(handler)
    job = find_job(delivery(None, "made", 1), registry)
    return execute(job, clock=ManualClock(1000.0), random=random.Random(7))


def test_a_context_variable_does_not_reach_the_next_run(taskflow_registry: Registry) -> None:
    seen = []

    def handler(payload: Any) -> None:
        seen.append(tenant.get())
        tenant.set("somebody")

    once(taskflow_registry, handler)
    job = find_job(delivery(None, "made", 1), taskflow_registry)
    execute(job, clock=ManualClock(1000.0), random=random.Random(7))
    assert seen == ["nobody", "nobody"]


def test_a_handlers_own_fields_stand_beside_those_of_the_run(
    taskflow_registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    def handler(payload: Any, ctx: Context) -> None:
        ctx.logger.warning("hello", extra={"order": "o1"})

    with caplog.at_level(logging.INFO, "taskflow.handler"):
        assert once(taskflow_registry, handler) == Done()
    (record,) = [one for one in caplog.records if one.getMessage() == "hello"]
    assert (record.__dict__["order"], record.__dict__["queue"]) == ("o1", "work")


@pytest.mark.parametrize(
    "error", [Unprintable(), Reject(Odd()), Reject(b"\xff"), Reject("a\x00b\x1b[31m")]
)
def test_whatever_an_error_says_or_cannot_say_it_is_settled(
    taskflow_broker: Broker, taskflow_registry: Registry, error: Exception
) -> None:
    @taskflow_registry.subscribe("made", queue="work", retries=0)
    def handler(payload: Any) -> None:
        raise error

    drain(taskflow_broker, taskflow_registry)  # declares
    publish("made", 1)
    drain(taskflow_broker, taskflow_registry, raise_errors=False)
    (letter,) = taskflow_broker.peek("work-dlq")
    failure = plain_text(letter.attributes[FAILURE])
    assert type(error).__name__ in failure
    assert "\x1b" not in failure
    assert taskflow_broker.counts("work").in_flight == 0


def test_async_handlers_can_be_drained_inside_a_running_loop(
    taskflow_broker: Broker, taskflow_registry: Registry
) -> None:
    seen: list[str] = []

    @taskflow_registry.subscribe("made", queue="work")
    async def handler(payload: str) -> None:
        await asyncio.gather(asyncio.to_thread(str))
        seen.append(payload)

    async def test() -> None:
        drain(taskflow_broker, taskflow_registry)
        publish("made", "x")
        drain(taskflow_broker, taskflow_registry)

    asyncio.run(test())
    assert seen == ["x"]


@pytest.mark.parametrize("kind", ["thread", "coroutine"])
def test_sys_exit_ends_a_run_and_not_the_pool(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    watch: Watch,
    kind: str,
) -> None:
    def leave(payload: str) -> None:
        if payload == "leave":
            sys.exit(3)

    async def leave_async(payload: str) -> None:
        leave(payload)

    handler = leave if kind == "thread" else leave_async
    taskflow_registry.subscribe("made", queue="work", retries=0)(handler)
    done = watch.done(2)
    with running(taskflow_broker, taskflow_registry, watch):
        publish("made", "leave")
        publish("made", "stay")
        assert done.wait(WAIT)
    counts = taskflow_broker.counts("work")
    assert (counts.handled, counts.dead_lettered) == (1, 1)


def test_a_broad_except_does_not_swallow_the_time_limit(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    watch: Watch,
) -> None:
    started, free, swallowed = threading.Event(), threading.Event(), []

    @taskflow_registry.subscribe("made", queue="work", timeout=5, retries=0)
    def handler(payload: Any) -> None:
        started.set()
        while not free.is_set():
            try:
                sum(range(100))
            except Exception as error:
                swallowed.append(error)

    done = watch.done(1)
    with running(taskflow_broker, taskflow_registry, watch):
        publish("made", 1)
        assert started.wait(WAIT)
        watch.until(done)
    free.set()
    assert swallowed == []
    assert not issubclass(HandlerInterrupt, Exception)
    assert taskflow_broker.counts("work").dead_lettered == 1


def test_a_coroutine_that_is_given_up_does_not_go_on(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    watch: Watch,
) -> None:
    started, went_on = threading.Event(), threading.Event()

    @taskflow_registry.subscribe("made", queue="work", timeout=5, retries=0)
    async def handler(payload: Any) -> None:
        started.set()
        await asyncio.get_running_loop().create_future()
        went_on.set()

    done = watch.done(1)
    with running(taskflow_broker, taskflow_registry, watch):
        publish("made", 1)
        assert started.wait(WAIT)
        watch.until(done)
    assert not went_on.is_set()


def test_a_reason_of_any_kind_is_kept(taskflow_registry: Registry) -> None:
    outcome = once(taskflow_registry, lambda payload: (_ for _ in ()).throw(Reject("why not")))
    assert isinstance(outcome, Dead)
    assert outcome.reason == "why not"
