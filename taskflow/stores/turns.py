"""Whose turn it is among the levels of a queue: the highest, but nobody waits for ever. Pure."""

from collections.abc import Collection, Sequence
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 9
"""So many others may start while a level waits: it gets one start in ten at least."""


class Turns:
    """Remembers how often each level was passed over; one for each queue of a process."""

    def __init__(self) -> None:
        self._passed: list[int] = []
        self._waited: set[int] = set()

    def merge(self, found: Sequence[Sequence[T]], limit: int) -> list[T]:
        """Of what is due in each level (the highest first), `limit` at most, in the order in which
        it is to start."""
        self._waited = {level for level, some in enumerate(found) if some}
        self._passed = self._passed or [0] * len(found)
        passed = list(self._passed)
        at = [0] * len(found)
        merged: list[T] = []
        while len(merged) < limit:
            waiting = [level for level, some in enumerate(found) if at[level] < len(some)]
            if not waiting:
                break
            patient = [level for level in waiting if passed[level] >= PATIENCE]
            chosen = patient[-1] if patient else waiting[0]
            merged.append(found[chosen][at[chosen]])
            at[chosen] += 1
            _pass_over(passed, chosen, waiting)
        return merged

    def started(self, levels: Sequence[int]) -> None:
        """Of what `merge` answered last, these levels have started, in this order."""
        for chosen in levels:
            _pass_over(self._passed, chosen, self._waited)


def _pass_over(passed: list[int], chosen: int, waiting: Collection[int]) -> None:
    """Count a start against the other levels that wait."""
    for level in range(len(passed)):
        waits = level in waiting and level != chosen
        passed[level] = passed[level] + 1 if waits else 0
