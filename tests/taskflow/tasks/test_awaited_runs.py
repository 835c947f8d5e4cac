"""Waiting for several runs at once."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from taskflow import Registry, Result, as_completed, task, wait_all, wait_any
from taskflow.errors import NoResult, ResultTimeout, RunFailed
from taskflow.tasks.awaited_runs import as_completed_async
from taskflow.tasks.task import Task

Drain = Callable[[], int]


@pytest.fixture
def half(taskflow_registry: Registry, drain: Drain) -> Task[[int], int]:
    """A task that fails for odd numbers."""

    @task(registry=taskflow_registry, result="1h", retries=0)
    def half(x: int) -> int:
        if x % 2:
            raise ValueError(f"{x} is odd")
        return x // 2

    drain()
    return half


def test_all(half: Task[[int], int], drain: Drain) -> None:
    results = half.send_many([2, 4, 6])
    drain()
    assert wait_all(results, 0) == [1, 2, 3]
    assert wait_all([]) == []
    failed = half.send_many([2, 3])
    drain()
    with pytest.raises(RunFailed, match="3 is odd"):
        wait_all(failed)


@pytest.mark.slow
def test_more_than_are_watched_at_a_time(half: Task[[int], int], drain: Drain) -> None:
    results = half.send_many(range(0, 500, 2))
    drain()
    assert wait_all(results, 0) == list(range(250))


def test_each_comes_as_it_ends(half: Task[[int], int], drain: Drain) -> None:
    first, second = half.delay(2), half.options(delay=10).delay(4)
    drain()
    ended = as_completed([second, first], 0)
    assert next(ended) == first
    with pytest.raises(ResultTimeout, match="have not ended in time"):
        next(ended)
    assert wait_any([second, first]) == first
    with pytest.raises(ValueError, match="there are none"):
        wait_any([])
    with pytest.raises(NoResult, match="no run 'never'"):
        wait_any([Result("never")])


def test_waiters_of_many_are_woken(half: Task[[int], int], drain: Drain) -> None:
    results = half.send_many([2, 4, 6])
    seen: list[Result[int]] = []
    thread = threading.Thread(target=lambda: seen.extend(as_completed(results)))
    thread.start()
    drain()
    thread.join(10)
    assert set(seen) == set(results)


def test_the_async_twin(half: Task[[int], int], drain: Drain) -> None:
    async def collect() -> list[int]:
        return [one.get(0) async for one in as_completed_async(results, 0)]

    results = half.send_many([2, 4])
    drain()
    assert sorted(asyncio.run(collect())) == [1, 2]


async def _the_first(results: list[Result[int]]) -> Result[int]:
    return await anext(aiter(as_completed_async(results)))


@pytest.mark.parametrize(
    "wait", [lambda one: one.get_async(), lambda one: _the_first([one])], ids=["get", "completed"]
)
def test_who_waits_takes_no_thread_of_the_loops_and_may_be_cancelled(
    half: Task[[int], int], wait: Callable[[Result[int]], Awaitable[object]]
) -> None:
    never = half.options(delay=60).delay(2)
    done: list[str] = []

    async def main() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        waits = asyncio.ensure_future(wait(never))
        for number in (4, 6):  # after the first, it has begun to wait
            done.append((await half.delay_async(number)).state)
        waits.cancel()

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    thread.join(20)  # the loop waits for the threads that it has handed things to
    assert (done, thread.is_alive()) == (["waiting"] * 2, False)
