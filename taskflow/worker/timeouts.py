"""One handler in a pool thread: its time limit, and how it is stopped from outside."""

import asyncio
import ctypes
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any

from taskflow.clock import Clock
from taskflow.entry import Arguments, Entry
from taskflow.errors import HandlerInterrupt, HandlerTimeout
from taskflow.event import Context

log = logging.getLogger("taskflow.worker")

LAST_WORDS = 1.0  # seconds a cancelled coroutine has when the worker stops

_raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc


class Running:
    """A handler that a pool thread works in. Times are the clock's `elapsed`.

    At its deadline `expire` interrupts the handler: a thread at its next bytecode, a coroutine at
    its next await; said again, it does so again. A handler stuck in C code notices neither; its
    owner then gives it up (`abandoned`) and puts a new thread in its place.
    """

    def __init__(self, seconds: float | None, loop: "LoopThread", now: float) -> None:
        self.started = now
        self.seconds = seconds
        """How long it may take."""
        self.deadline: float | None = None
        self.expired_at: float | None = None
        self.interrupted_at = 0.0
        self.abandoned = False
        self._cancelled = False
        self._loop = loop
        self._lock = threading.Lock()
        self._thread = threading.get_ident()
        self._inside = False
        self._task: asyncio.Task[Any] | None = None
        self._future: Future[Any] | None = None

    def invoke(self, entry: Entry, context: Context) -> Any:
        """Call the handler here, or run it on the event loop and wait."""
        if self.seconds is not None:
            self.deadline = self.started + self.seconds
        arguments = entry.arguments(context)
        try:
            if entry.is_async:
                return self._await(entry, arguments)
            with self._lock:
                self._inside = True
            try:
                return entry.handler(*arguments.args, **arguments.kwargs)
            finally:
                with self._lock:
                    self._inside = False
                    if self.expired_at is not None:  # too late now
                        _raise_in_thread(ctypes.c_ulong(self._thread), None)
        except (HandlerInterrupt, asyncio.CancelledError, CancelledError) as error:
            if self.expired_at is None:
                raise
            raise self.timeout() from error

    def _await(self, entry: Entry, arguments: Arguments) -> Any:
        async def run() -> Any:
            if self.abandoned:  # it waited for the loop until somebody gave it up
                raise asyncio.CancelledError
            self._task = asyncio.current_task()
            try:
                return await entry.handler(*arguments.args, **arguments.kwargs)
            except (SystemExit, KeyboardInterrupt) as error:
                return _Left(error)  # asyncio would end the loop of everybody

        self._future = self._loop.submit(run())
        result = self._future.result()
        if isinstance(result, _Left):
            raise result.error
        return result

    def expire(self, now: float) -> None:
        """Interrupt the handler."""
        if self.expired_at is None:
            self.expired_at = now
        self.interrupted_at = now
        with self._lock:
            if self._inside:
                _raise_in_thread(ctypes.c_ulong(self._thread), ctypes.py_object(HandlerInterrupt))
        if self._task is not None:
            self._loop.call(self._task.cancel)

    def cancel(self) -> None:
        """Cancel a coroutine, once. (A thread goes on: its context tells it, if it asks.)"""
        if self._task is not None and not self._cancelled:
            self._cancelled = True
            self._loop.call(self._task.cancel)

    def give_up(self) -> None:
        """Nobody waits for it any more; what has not begun does not."""
        self.abandoned = True
        if self._future is not None:
            self._future.cancel()

    def timeout(self) -> HandlerTimeout:
        """The failure of a run past its time."""
        return HandlerTimeout(f"ran longer than its timeout of {self.seconds:g} s")


class _Left:
    """What a coroutine raised to leave the process."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class LoopThread:
    """The event loop of a worker process, in a thread of its own; for `async def` handlers."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._loop = asyncio.new_event_loop()
        self._closed = False
        self._asked_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="taskflow-loop", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closed:
            try:
                self._loop.run_forever()
            except BaseException:  # a task that a handler made called sys.exit
                log.exception("a task ended the event loop, which goes on")

    def submit(self, coroutine: Coroutine[Any, Any, Any]) -> "Future[Any]":
        """Run it on the loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def call(self, callback: Callable[[], object]) -> None:
        """Call it on the loop, if that still turns."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback)

    def silent_for(self) -> float:
        """Asks the loop to answer; for how many seconds it has owed one."""
        if self._asked_at is None:
            self._asked_at = self._clock.elapsed()
            self.call(self._answer)
            return 0.0
        return self._clock.elapsed() - self._asked_at

    def _answer(self) -> None:
        self._asked_at = None

    def close(self) -> bool:
        """Cancel what still runs, and end the loop. False when it is stuck, or a coroutine refuses:
        what is left behind ends with the process."""
        try:
            ended = self.submit(self._cancel_all()).result(LAST_WORDS + 1)
        except TimeoutError:
            log.error("a handler blocks the event loop, and is left behind")
            self._closed = True
            return False
        self._closed = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        return bool(ended)

    async def _cancel_all(self) -> bool:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        return not tasks or not (await asyncio.wait(tasks, timeout=LAST_WORDS))[1]
