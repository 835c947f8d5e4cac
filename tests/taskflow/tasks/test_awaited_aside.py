"""Waiting aside of event loops: in turns, and no longer than the program lives."""

import asyncio
import threading
from functools import partial

import pytest

from taskflow import Broker, Registry, task
from taskflow.errors import ResultTimeout
from taskflow.tasks import awaited_aside as aside
from taskflow.tasks import coroutine_patience as patiences
from taskflow.tasks.task import Task
from taskflow.tasks.waiting_threads import WaitingThreads
from taskflow.testing import ManualClock


@pytest.fixture
def same(taskflow_registry: Registry) -> Task[[int], int]:
    @task(registry=taskflow_registry, name="same", result="1h")
    def same(x: int) -> int:
        return x

    return same


def test_a_loop_that_was_closed_leaves_nobody_waiting_nor_the_program(
    taskflow_broker: Broker,
) -> None:
    loop, go, ended = asyncio.new_event_loop(), threading.Event(), threading.Event()
    seen: list[tuple[bool, bool]] = []

    async def main() -> None:
        patient = aside.patience()

        def wait() -> None:
            seen.append((threading.current_thread().daemon, patient.has_ended()))
            loop.call_soon_threadsafe(loop.stop)
            go.wait(20)
            seen.append((threading.current_thread().daemon, patient.has_ended()))
            ended.set()

        await aside.wait_aside(taskflow_broker, patient, wait)

    waits = loop.create_task(main())
    loop.run_forever()
    loop.close()
    go.set()
    assert ended.wait(20)
    assert not waits.done()
    assert seen == [(True, False), (True, True)]


def test_who_waits_for_long_lets_others_wait(
    same: Task[[int], int],
    drain: object,
    taskflow_clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert callable(drain)
    threads = WaitingThreads(1)
    monkeypatch.setattr(aside, "_threads", lambda: threads)
    monkeypatch.setattr(patiences, "CROWD", 1)
    drain()
    done = same.delay(1)
    drain()
    never = [same.options(delay=3600).delay(number) for number in range(2)]
    seen: list[object] = []

    async def main() -> None:
        waits = asyncio.ensure_future(never[0].get_async())
        ends = [asyncio.ensure_future(one) for one in (never[1].get_async(5), done.get_async())]
        while not all(one.done() for one in ends):
            await asyncio.to_thread(taskflow_clock.advance, 1)
        seen.extend(await asyncio.gather(*ends, return_exceptions=True))
        assert not waits.done()
        waits.cancel()

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    thread.join(20)
    assert isinstance(seen[0], ResultTimeout)
    assert seen[1] == 1


def test_what_was_cancelled_before_its_turn_is_not_called() -> None:
    threads, go, called = WaitingThreads(1), threading.Event(), list[int]()
    first = threads.submit(lambda: go.wait(20))
    second, third = (threads.submit(partial(called.append, number)) for number in (2, 3))
    assert second.cancel()
    go.set()
    assert first.result(20)
    third.result(20)
    assert called == [3]
    failed = threads.submit(lambda: 1 // 0)
    assert isinstance(failed.exception(20), ZeroDivisionError)
