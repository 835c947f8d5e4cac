"""From where on to look for what is due, or stored first: behind what has gone already.

While somebody holds a transaction open, the server cannot clear away the index entries of what has
gone since; each look would go through all of them again.
"""

from taskflow.clock import Clock
from taskflow.stores.row import Kinds

NONE = float("-inf")
SLACK = 0.2  # seconds
LASTS = 1.0
"""Seconds: what became due below the mark (given back, sent by a slow transaction) waits no longer,
unless such a look takes long."""
SHARE = 30.0
"""A look from the beginning comes after so many times what the last one took,"""
LONGEST = 10.0
"""and after so many seconds at the latest."""
STORED_LASTS = 60.0
"""Seconds: what a slow transaction stored, and is past its retention, waits no longer."""


class Watermarks:
    """Of one process; and what its queues held lately. A lost update costs a longer look."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: dict[int, tuple[float, float]] = {}
        self._stored: dict[int, tuple[int, float]] = {}
        self.kinds: dict[int, Kinds] = {}

    def forget(self) -> None:
        """Look from the beginning."""
        self._due.clear()
        self._stored.clear()
        self.kinds.clear()

    def elapsed(self) -> float:
        """Seconds since some moment."""
        return self._clock.elapsed()

    def due_from(self, queue: int) -> float:
        """The lowest `visible_at` to look at; NONE now and then, so that nothing is missed."""
        low, until = self._due.get(queue, (NONE, NONE))
        return low if self._clock.elapsed() < until else NONE

    def lent(self, queue: int, earliest: float, from_low: float, since: float) -> None:
        """Note the earliest of what was lent, by a look from there that began `since`."""
        now = self._clock.elapsed()
        until = self._due.get(queue, (NONE, NONE))[1]
        if from_low == NONE:
            until = now + min(LONGEST, max(LASTS, SHARE * (now - since)))
        self._due[queue] = (earliest - SLACK, until)

    def stored_from(self, queue: int) -> int:
        """The lowest number to look at for what was stored first."""
        low, until = self._stored.get(queue, (0, NONE))
        return low if self._clock.elapsed() < until else 0

    def stored(self, queue: int, first: int, from_low: int) -> None:
        """Note the number of the first that is stored, or the last that was given, if none is."""
        until = self._stored.get(queue, (0, NONE))[1]
        if not from_low:
            until = self._clock.elapsed() + STORED_LASTS
        self._stored[queue] = (first, until)
