"""Since when the broker does not answer, and what was known before."""

import threading
from typing import NamedTuple

from taskflow import forking
from taskflow.clock import Clock
from taskflow.dashboard.survey import Survey


class Away(NamedTuple):
    """When it was first found away, how often it was asked since, and the last that was known."""

    since: float
    tries: int
    last: Survey | None


class Outage:
    """Remembers the beginning of an outage. Thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock: threading.Lock
        forking.anew(self, _lock=threading.Lock)
        self._since: float | None = None
        self._tries = 0
        self._last: Survey | None = None

    def note(self) -> Away:
        """It did not answer, just now."""
        with self._lock:
            if self._since is None:
                self._since = self._clock.now()
            self._tries += 1
            return Away(self._since, self._tries, self._last)

    def over(self, last: Survey | None) -> None:
        """It answered."""
        with self._lock:
            self._since, self._tries, self._last = None, 0, last
