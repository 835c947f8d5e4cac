"""MemoryRecords: finished and running events, kept in this process for itself."""

import threading
from collections.abc import Collection, Iterable, Sequence

from taskflow import forking
from taskflow.coordination.event_records import HELD, Found, Key, Run

KEPT = 200_000  # keys kept in this process


class MemoryRecords:
    """The contract is `records.Records`. For this process alone; the oldest are forgotten when
    there are too many."""

    remote = False

    def __init__(self) -> None:
        self._finished: dict[Key, float] = {}
        self._running: dict[Key, tuple[float, str]] = {}
        self._lock: threading.Lock
        forking.anew(self, _lock=threading.Lock)

    def claim(self, run: Run, until: float, now: float, take_over: bool) -> Found | None:
        key = run.key
        with self._lock:
            if (end := self._finished.get(key, 0.0)) > now:
                return Found(True, end)
            end, _ = self._running.get(key, (0.0, ""))
            if not take_over and end > now:
                return Found(False, end)
            self._running.pop(key, None)
            self._running[key] = until, run.receipt
            if len(self._running) > HELD:
                del self._running[next(iter(self._running))]
            return None

    def extend(self, runs: Iterable[tuple[Run, float]]) -> None:
        with self._lock:
            for run, until in runs:
                if self._running.get(run.key, (0.0, ""))[1] == run.receipt:
                    self._running[run.key] = until, run.receipt

    def release(self, runs: Iterable[Run]) -> None:
        with self._lock:
            for run in runs:
                if self._running.get(run.key, (0.0, ""))[1] == run.receipt:
                    del self._running[run.key]

    def remember(self, keys: Sequence[tuple[Key, float]], now: float) -> None:
        with self._lock:
            for key, until in keys:
                self._running.pop(key, None)
                self._finished.pop(key, None)
                self._finished[key] = until
            while len(self._finished) > KEPT:
                del self._finished[next(iter(self._finished))]

    def finished(self, keys: Collection[Key], now: float) -> set[Key]:
        with self._lock:
            return {key for key in keys if self._finished.get(key, 0.0) > now}

    def close(self) -> None:
        """There is nothing open."""
