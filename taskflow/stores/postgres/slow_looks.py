"""How long looks take, and answers that are kept where they take long."""

import math
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from taskflow.clock import Clock

T = TypeVar("T")
NEVER = float("-inf")
SHARE = 30.0
"""A slow look comes after so many times what the last one took,"""
LONGEST = 10.0
"""and after so many seconds at the latest."""
SLOW = 0.002
"""Seconds beside the way to the server: a look that takes longer keeps to its share."""
LONGER = 1.01
"""So many times as long is that way reckoned to be after each look, unless that was quicker."""


class SlowLooks:
    """Of one process. A lost update costs a look."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._way = math.inf
        self._kept: dict[Hashable, tuple[Any, float]] = {}

    def forget(self) -> None:
        """It may be another server."""
        self._way = math.inf
        self._kept.clear()

    def took(self, since: float) -> float:
        """Seconds that a look, begun `since` (by `elapsed`), took more than the quickest one: that
        is the way to the server, which may become longer."""
        took = self._clock.elapsed() - since
        self._way = min(self._way * LONGER, took)
        return took - self._way

    @staticmethod
    def share(took: float) -> float:
        """Seconds for which no other look comes after one that took so long, so that looks keep to
        their share."""
        return min(LONGEST, SHARE * took)

    def rest(self, took: float) -> float:
        """As `share`; nothing after a look that is not slow."""
        return self.share(took) if took > SLOW else NEVER

    def drop(self, question: Hashable) -> None:
        """What was said of that holds no longer."""
        self._kept.pop(question, None)

    def answer(self, question: Hashable, look: Callable[[], T]) -> T:
        """What the look says, or, where looks for the same are slow, said lately."""
        since = self._clock.elapsed()
        said, until = self._kept.get(question, (None, NEVER))
        if since < until:
            answer: T = said
            return answer
        answer = look()
        if (rest := self.rest(self.took(since))) > 0.0:
            self._kept[question] = (answer, since + rest)
        return answer
