"""One handler in a pool thread: its time limit, and how it is stopped from outside."""

import asyncio
import ctypes
import threading
from concurrent.futures import CancelledError
from typing import Any

from taskflow.errors import HandlerTimeout
from taskflow.event import Context
from taskflow.execute import Job
from taskflow.registry import Subscription

LAST_WORDS = 1.0  # seconds a cancelled coroutine has when the worker stops

_raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc


class Running:
    """A job that a pool thread works on.

    At its deadline (epoch seconds) `expire` raises HandlerTimeout inside the handler: in a
    thread at its next bytecode, in a coroutine at its next await. A handler stuck in C code
    notices neither; its owner then gives it up (`abandoned`) and puts a new thread in its place.
    """

    def __init__(self, job: Job, loop: asyncio.AbstractEventLoop, now: float) -> None:
        self.job = job
        self.started = now
        self.deadline: float | None = None
        self.expired_at: float | None = None
        self.abandoned = False
        self._loop = loop
        self._lock = threading.Lock()
        self._thread = threading.get_ident()
        self._inside = False
        self._task: asyncio.Task[Any] | None = None

    def invoke(self, subscription: Subscription, context: Context) -> Any:
        """Call the handler here, or run it on the event loop and wait."""
        self.deadline = context.deadline
        arguments = subscription.signature.arguments(context)
        try:
            if subscription.signature.is_async:
                return self._await(subscription, arguments)
            with self._lock:
                self._inside = True
            try:
                return subscription.handler(*arguments)
            finally:
                with self._lock:
                    self._inside = False
                    _raise_in_thread(ctypes.c_ulong(self._thread), None)  # too late now
        except (HandlerTimeout, asyncio.CancelledError, CancelledError) as error:
            if self.expired_at is None:
                raise
            raise self.timeout() from error

    def _await(self, subscription: Subscription, arguments: list[Any]) -> Any:
        async def run() -> Any:
            self._task = asyncio.current_task()
            return await subscription.handler(*arguments)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def expire(self, now: float) -> None:
        """Raise HandlerTimeout in the handler."""
        self.expired_at = now
        with self._lock:
            if self._inside:
                _raise_in_thread(ctypes.c_ulong(self._thread), ctypes.py_object(HandlerTimeout))
        if self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)

    def timeout(self) -> HandlerTimeout:
        """The failure of a run past its time."""
        subscription = self.job.subscription
        seconds = subscription.timeout if subscription else None
        return HandlerTimeout(f"ran longer than its timeout of {seconds:g} s")


class LoopThread:
    """The event loop of a worker process, in a thread of its own; for `async def` handlers."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self.loop.run_forever, name="taskflow-loop", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Cancel what still runs, and end the loop; a coroutine that refuses is left behind."""
        asyncio.run_coroutine_threadsafe(self._cancel_all(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    async def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=LAST_WORDS)
