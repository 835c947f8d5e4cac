"""What an event loop is called back by at times of the broker's clock."""

import asyncio
import heapq
import itertools
import threading
from collections.abc import Callable

from taskflow.clock import Clock


class Timekeeper:
    """Calls back on the event loop at times of the broker's clock. One thread, asleep mostly."""

    def __init__(self, clock: Clock, loop: asyncio.AbstractEventLoop) -> None:
        self._clock = clock
        self._loop = loop
        self._changed = threading.Condition()
        self._entries: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="taskflow-time", daemon=True)
        self._thread.start()

    def call_at(self, when: float, callback: Callable[[], object]) -> None:
        """Call `callback` on the loop at `when` (epoch seconds) or soon after."""
        with self._changed:
            heapq.heappush(self._entries, (when, next(self._numbers), callback))
            if self._entries[0][0] == when:
                self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                now = self._clock.now()
                while self._entries and self._entries[0][0] <= now:
                    _, _, callback = heapq.heappop(self._entries)
                    self._loop.call_soon_threadsafe(callback)
                left = self._entries[0][0] - now if self._entries else None
                self._clock.wait(self._changed, left)

    def close(self) -> None:
        """Stop; what was due later is never called."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()
