"""Tally: how many messages of each queue this process handled, and dead-lettered."""

import threading
from collections import Counter

from taskflow import forking


class Tally:
    """Thread-safe. Numbers are those since the process began."""

    def __init__(self) -> None:
        self._handled: Counter[str] = Counter()
        self._dead: Counter[str] = Counter()
        self._lock: threading.Lock
        forking.anew(self, _lock=threading.Lock)

    def add_handled(self, queue: str, count: int) -> None:
        """Count messages as handled; a negative number takes them back."""
        with self._lock:
            self._handled[queue] += count

    def add_dead(self, queue: str, count: int) -> None:
        """Count messages as dead-lettered."""
        with self._lock:
            self._dead[queue] += count

    def read(self, queue: str) -> tuple[int, int]:
        """(handled, dead-lettered)."""
        with self._lock:
            return self._handled[queue], self._dead[queue]
