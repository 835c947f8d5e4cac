"""Which events a queue has finished, and which are being run: kept in this process for itself.

`Records` is what any keeper of them does; `dynamo_records` and `sql_records` do it for all workers.
"""

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, Protocol

KEPT = 200_000  # keys kept in this process
HELD = 20_000  # claims that a process keeps in mind


class Key(NamedTuple):
    """An event of a queue."""

    queue: str
    id: str
    topic: str

    def write(self) -> str:
        return f"{self.queue}|{self.topic}|{self.id}"


class Found(NamedTuple):
    """What a claim met: finished before, or run by another holder, until then (epoch seconds)."""

    finished: bool
    until: float


class Records(Protocol):
    """Thread-safe. Raises BrokerUnavailable."""

    remote: bool
    """Whether asking takes long, so that several claims are made at once."""

    def claim(self, key: Key, until: float, now: float, take_over: bool) -> Found | None:
        """Claim an event until then; None when that was possible. `take_over`: from whoever runs
        it, but not when it is finished."""
        ...

    def extend(self, keys: Iterable[tuple[Key, float]]) -> None:
        """Claims of this process last until another time; what it has not claimed is ignored."""
        ...

    def release(self, keys: Iterable[Key]) -> None:
        """End claims of this process; what it has not claimed is ignored."""
        ...

    def remember(self, keys: Sequence[tuple[Key, float]], now: float) -> None:
        """These are finished, and known to be until then. It ends claims on them."""
        ...

    def finished(self, keys: Collection[Key], now: float) -> set[Key]:
        """Which of these are finished and not past their time."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


class Held:
    """The claims of this process, so that what it never claimed costs no request. Thread-safe."""

    def __init__(self) -> None:
        self._keys: OrderedDict[Key, None] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, key: Key) -> None:
        with self._lock:
            self._keys[key] = None
            self._keys.move_to_end(key)
            if len(self._keys) > HELD:
                self._keys.popitem(last=False)

    def drop(self, key: Key) -> bool:
        """Forget a claim; whether there was one."""
        with self._lock:
            return self._keys.pop(key, self) is None

    def __contains__(self, key: Key) -> bool:
        with self._lock:
            return key in self._keys


class MemoryRecords:
    """For this process alone; the oldest are forgotten when there are too many."""

    remote = False

    def __init__(self) -> None:
        self._finished: dict[Key, float] = {}
        self._running: dict[Key, float] = {}
        self._lock = threading.Lock()

    def claim(self, key: Key, until: float, now: float, take_over: bool) -> Found | None:
        with self._lock:
            if (end := self._finished.get(key, 0.0)) > now:
                return Found(True, end)
            if not take_over and (end := self._running.get(key, 0.0)) > now:
                return Found(False, end)
            self._running.pop(key, None)
            self._running[key] = until
            if len(self._running) > HELD:
                del self._running[next(iter(self._running))]
            return None

    def extend(self, keys: Iterable[tuple[Key, float]]) -> None:
        with self._lock:
            self._running.update((key, until) for key, until in keys if key in self._running)

    def release(self, keys: Iterable[Key]) -> None:
        with self._lock:
            for key in keys:
                self._running.pop(key, None)

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
