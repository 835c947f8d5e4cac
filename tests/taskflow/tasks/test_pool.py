"""Tasks in a pool: what runs long, what is cancelled meanwhile, what is due by itself."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from taskflow import Broker, Context, Registry, task
from taskflow.errors import RunCancelled
from taskflow.tasks.task_context import TaskContext
from taskflow.testing import ManualClock
from tests.taskflow.worker.pools import WAIT, Watch, running

DAY = 86400.0


def until_running(broker: Broker, id: str) -> None:
    """Wait until a run is said to run: woken, on the clock of the test."""
    seen = broker.records("run", [id])[id]
    while seen.state != "running":
        found = broker.wait_record("run", id, seen.version, 10_000.0)
        assert found is not None
        seen = found


def test_a_long_run_is_seen_running(
    taskflow_broker: Broker, taskflow_registry: Registry, watch: Watch
) -> None:
    inside, go_on = threading.Event(), threading.Event()

    @task(registry=taskflow_registry, result="1h")
    def t() -> int:
        inside.set()
        assert go_on.wait(WAIT)
        return 1

    with running(taskflow_broker, taskflow_registry, watch):
        result = t.delay()
        assert inside.wait(WAIT)
        seen, done = threading.Event(), watch.done(1)

        def look() -> None:
            until_running(taskflow_broker, result.id)
            seen.set()
            go_on.set()

        thread = threading.Thread(target=look)
        thread.start()
        watch.until(seen)
        thread.join(WAIT)
        watch.until(done)
        assert result.get(0) == 1


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_run_is_told_that_it_was_cancelled(
    kind: str, taskflow_broker: Broker, taskflow_registry: Registry, watch: Watch
) -> None:
    inside = threading.Event()
    ended: list[str] = []

    def sync(ctx: Context) -> None:
        assert isinstance(ctx, TaskContext)
        inside.set()
        while not ctx.cancelled:
            pass
        ended.append("looked")
        raise ValueError("stopped")

    async def coroutine(ctx: Context) -> None:
        inside.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("looked")
            raise

    function: Callable[..., object] = sync if kind == "def" else coroutine
    made = task(registry=taskflow_registry, name="t", result="1h")(function)
    with running(taskflow_broker, taskflow_registry, watch):
        result = made.delay()
        assert inside.wait(WAIT)
        done = watch.done(1)
        running_now = threading.Event()

        def cancel() -> None:
            until_running(taskflow_broker, result.id)
            assert result.cancel()
            running_now.set()

        thread = threading.Thread(target=cancel)
        thread.start()
        watch.until(running_now)
        watch.until(done)
        thread.join(WAIT)
    assert ended == ["looked"]
    with pytest.raises(RunCancelled):
        result.get(0)
    assert taskflow_broker.counts("default-dlq").visible == 0


@pytest.mark.slow
def test_what_was_called_for_later_is_sent_at_its_time(
    taskflow_broker: Broker, taskflow_registry: Registry, taskflow_clock: ManualClock, watch: Watch
) -> None:
    ran: list[float] = []
    t = task(registry=taskflow_registry, name="t")(lambda: ran.append(taskflow_clock.now()))
    with running(taskflow_broker, taskflow_registry, watch):
        due = taskflow_clock.now() + DAY
        t.options(at=due).delay()
        watch.until(watch.done(1), step=600)
    assert due <= ran[0] <= due + 600
