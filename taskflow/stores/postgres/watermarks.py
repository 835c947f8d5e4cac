"""From where on to look for what is due: behind what was lent already.

While somebody holds a transaction open, the server cannot clear away the index entries of what was
lent since; each look would go through all of them again.
"""

from taskflow.stores.row import Kinds

NONE = float("-inf")
SLACK = 0.2  # seconds
LASTS = 1.0
"""Seconds: what became due below the mark (given back, sent by a slow transaction) waits no longer.
"""


class Watermarks:
    """Of one process; and what its queues held lately. A lost update costs a longer look."""

    def __init__(self) -> None:
        self._low: dict[int, tuple[float, float]] = {}
        self.kinds: dict[int, Kinds] = {}

    def low(self, queue: int, now: float) -> float:
        """The lowest `visible_at` to look at; NONE now and then, so that nothing is missed."""
        low, until = self._low.get(queue, (NONE, NONE))
        if now < until:
            return low
        self._low.pop(queue, None)
        return NONE

    def lent(self, queue: int, earliest: float, now: float) -> None:
        """Note the earliest of what was lent, when that was a look from the very beginning, or
        from the mark."""
        _, until = self._low.get(queue, (NONE, now + LASTS))
        self._low[queue] = (earliest - SLACK, until)
