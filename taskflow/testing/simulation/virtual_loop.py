"""An event loop on simulated time: what a coroutine waits for passes at once."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar, TypeVarTuple

R = TypeVar("R")
Given = TypeVarTuple("Given")
PassTime = Callable[[float], None]


class VirtualLoop(asyncio.SelectorEventLoop):
    """`asyncio.sleep`, `asyncio.timeout` and the like take no time, and the simulation's clock has
    moved after them. While something real is awaited (a socket, a thread), time passes as it does
    in life. `pass_time` may raise CancelledError: then the coroutine is cancelled."""

    def __init__(self, pass_time: PassTime) -> None:
        self._pass_time = pass_time
        self._passed = 0.0
        self._threads = 0
        self._main: asyncio.Task[Any] | None = None
        super().__init__(_Selector(self))

    def time(self) -> float:
        """The seconds that have passed in it."""
        return self._passed

    @property
    def waits_for_time_alone(self) -> bool:
        """Whether no thread works for it."""
        return not self._threads

    def skip(self, seconds: float) -> None:
        """Nothing happens for so long but that this time is over then."""
        self._passed += seconds
        try:
            self._pass_time(seconds)
        except asyncio.CancelledError:
            if self._main is not None:
                self._main.cancel()

    async def main(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """The coroutine that this loop is for."""
        self._main = asyncio.current_task()
        return await coroutine

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Given], R], *args: *Given
    ) -> "asyncio.Future[R]":
        """As any loop does."""
        self._threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._came_back)
        return future

    def _came_back(self, future: object) -> None:
        self._threads -= 1

    async def shutdown_default_executor(self, *timeout: Any, **options: Any) -> None:
        """As any loop does: a limit of time, which Python has from 3.12 on, is of real time."""
        self._threads += 1
        try:
            await super().shutdown_default_executor(*timeout, **options)
        finally:
            self._threads -= 1


class _Selector(selectors.DefaultSelector):
    """Skips what it would wait, where nobody else could end the wait."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        alone = len(self.get_map()) <= 1  # what other threads wake the loop by is always there
        found = super().select(0 if alone and self._loop.waits_for_time_alone else timeout)
        if not found:
            self._loop.skip(timeout)
        return found


def run_virtually(coroutine: Coroutine[Any, Any, Any], pass_time: PassTime) -> Any:
    """Run it to its end; in a thread of its own when a loop runs here (an async test)."""

    def run() -> Any:
        loop = VirtualLoop(pass_time)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(loop.main(coroutine))

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run()
    with ThreadPoolExecutor(1, thread_name_prefix="taskflow-coroutine") as apart:
        return apart.submit(copy_context().run, run).result()
