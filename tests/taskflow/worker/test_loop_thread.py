"""The event loop of a worker: there from the first coroutine on."""

import asyncio
import threading
from typing import Any

import pytest

from taskflow import Broker, Registry, publish
from taskflow.testing import ManualClock
from taskflow.worker.timeouts import LoopThread
from tests.taskflow.worker.pools import WAIT, Watch, running

LOOP = "taskflow-loop"


def loops() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == LOOP]


def test_a_worker_of_functions_has_no_loop(
    taskflow_broker: Broker, taskflow_registry: Registry, watch: Watch
) -> None:
    seen: list[int] = []

    @taskflow_registry.subscribe("made", queue="work")
    def plain(payload: Any) -> None:
        seen.append(len(loops()))

    @taskflow_registry.subscribe("asked", queue="work")
    async def coroutine(payload: Any) -> None:
        seen.append(len(loops()))

    done = watch.done(1)
    with running(taskflow_broker, taskflow_registry, watch):
        publish("made", 1)
        watch.until(done)
        done = watch.done(1)
        publish("asked", 1)
        watch.until(done)
    assert seen == [0, 1]
    assert loops() == []


def test_all_coroutines_have_one_loop() -> None:
    loop = LoopThread(ManualClock())
    found: list[asyncio.AbstractEventLoop] = []
    barrier = threading.Barrier(8)

    async def look() -> None:
        found.append(asyncio.get_running_loop())

    def submit() -> None:
        barrier.wait(WAIT)
        loop.submit(look()).result(WAIT)

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(WAIT)
    assert len(found) == 8
    assert len(set(found)) == 1
    assert loop.close()


def test_a_loop_that_never_began_is_quiet_and_closes_at_once() -> None:
    loop = LoopThread(ManualClock())
    called: list[int] = []
    loop.call(lambda: called.append(1))
    assert loop.silent_for() == 0.0
    assert loop.close()
    assert called == []
    assert loops() == []

    async def late() -> None: ...

    coroutine = late()
    with pytest.raises(RuntimeError, match="closed"):
        loop.submit(coroutine)
    coroutine.close()
    assert loops() == []
