"""One handler in a pool thread: its time limit, and how it is stopped from outside."""

import logging
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any

from taskflow.clock import Clock
from taskflow.entry import Arguments, Entry
from taskflow.errors import HandlerInterrupt, HandlerTimeout
from taskflow.event import Context
from taskflow.later import Later
from taskflow.uninterrupted import is_inside

if TYPE_CHECKING:
    import asyncio
    import ctypes
    from concurrent import futures
else:
    asyncio = Later("asyncio")
    ctypes = Later("ctypes")
    futures = Later("concurrent.futures")

log = logging.getLogger("taskflow.worker")

LAST_WORDS = 1.0  # seconds a cancelled coroutine has when the worker stops


class Running:
    """A handler that a pool thread works in. Times are the clock's `elapsed`.

    At its deadline `expire` interrupts the handler: a thread at its next bytecode, a coroutine at
    its next await; said again, it does so again. A thread inside a store's own step is let end that
    first. A handler stuck in C code notices neither; its owner then gives it up (`abandoned`) and
    puts a new thread in its place.
    """

    def __init__(self, seconds: float | None, loop: "LoopThread", now: float) -> None:
        self.started = now
        self.seconds = seconds
        """How long it may take."""
        self.deadline: float | None = None
        self.expired_at: float | None = None
        self.interrupted_at = -inf
        self.abandoned = False
        self._cancelled = False
        self._loop = loop
        self._lock = threading.Lock()
        self._thread = threading.get_ident()
        self._inside = False
        self._task: asyncio.Task[Any] | None = None
        self._future: futures.Future[Any] | None = None

    def invoke(self, entry: Entry, context: Context) -> Any:
        """Call the handler here, or run it on the event loop and wait."""
        if self.seconds is not None:
            self.deadline = self.started + self.seconds
        arguments = entry.arguments(context)
        if self.seconds is None and not entry.is_async:  # nobody interrupts it
            return entry.handler(*arguments.args, **arguments.kwargs)
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
                        _raise_in_thread(self._thread, None)
        except BaseException as error:
            if self.expired_at is None or not _interrupted(error):
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

    def expire(self, now: float) -> bool:
        """Interrupt the handler; False when its thread is where it must not be interrupted: then
        say it again soon."""
        if self.expired_at is None:
            self.expired_at = now
        with self._lock:
            if self._inside and not _interrupt(self._thread):
                return False
        self.interrupted_at = now
        if self._task is not None:
            self._loop.call(self._task.cancel)
        return True

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


def _interrupted(error: BaseException) -> bool:
    kinds = (HandlerInterrupt, asyncio.CancelledError, futures.CancelledError)
    return isinstance(error, kinds)


def _interrupt(thread: int) -> bool:
    """Whether it is; it is not in the midst of what leaves things half done."""
    if is_inside(thread):
        return False
    _raise_in_thread(thread, HandlerInterrupt)
    if not is_inside(thread):
        return True
    _raise_in_thread(thread, None)  # it has got there meanwhile
    return False


def _raise_in_thread(thread: int, kind: type[BaseException] | None) -> None:
    """Raise it in this thread, at its next bytecode; None: what was to be raised is not."""
    raised = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)


class _Left:
    """What a coroutine raised to leave the process."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class LoopThread:
    """The event loop of a worker process, in a thread of its own, for `async def` handlers: from
    the first coroutine on. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begins = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._asked_at: float | None = None

    def submit(self, coroutine: Coroutine[Any, Any, Any]) -> "futures.Future[Any]":
        """Run it on the loop. Raises RuntimeError when that is closed."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop or self._begin())

    def _begin(self) -> "asyncio.AbstractEventLoop":
        with self._begins:
            if self._closed:
                raise RuntimeError("the event loop of this worker is closed")
            if self._loop is None:
                loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._run, args=(loop,), name="taskflow-loop", daemon=True
                )
                self._thread.start()
                self._loop = loop
            return self._loop

    def _run(self, loop: "asyncio.AbstractEventLoop") -> None:
        while not self._closed:
            try:
                loop.run_forever()
            except BaseException:  # a task that a handler made called sys.exit
                log.exception("a task ended the event loop, which goes on")

    def call(self, callback: Callable[[], object]) -> None:
        """Call it on the loop, if that turns."""
        if self._loop is None:
            return
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback)

    def silent_for(self) -> float:
        """Asks the loop to answer; for how many seconds it has owed one."""
        if self._loop is None:
            return 0.0
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
        with self._begins:
            if self._loop is None or self._thread is None:
                self._closed = True
                return True
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
