"""From where on to look for what is due, or stored first: behind what has gone already.

While somebody holds a transaction open, the server cannot clear away the index entries of what has
gone since; each look would go through all of them again.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from taskflow.clock import Clock
from taskflow.stores.row import Kinds

NEVER = float("-inf")
SLACK = 0.2  # seconds
NEAR_LASTS = 0.02
"""Seconds: what became due a little below the mark (sent at the same time, and committed later)
waits no longer. A look from there goes through what has gone in the last `SLACK`."""
LASTS = 1.0
"""Seconds: what became due far below it (sent by a slow transaction, free of its limit) waits no
longer, unless such a look takes long."""
SHARE = 30.0
"""A look from further back comes after so many times what the last one took,"""
LONGEST = 10.0
"""and after so many seconds at the latest."""
SLOW = 0.002
"""Seconds beside the way to the server: a look from the beginning that takes longer does not follow
each one that found nothing behind the mark, but keeps to its share; so does one for what is due
next."""
LONGER = 1.01
"""So many times as long is that way reckoned to be after each look, unless that was quicker."""
STORED_LASTS = 60.0
"""Seconds: what a slow transaction stored, and is past its retention, waits no longer."""

Point = tuple[float, int]
"""When a message is due, and its place: the order of the index."""
START: Point = (NEVER, 0)
Next = tuple[list[float], float, float]
"""When what is hidden is due, as far as that is known; and how long it is not looked for, by
`elapsed` and by the time of the store."""
NOTHING: Next = ([], NEVER, NEVER)
NOT_AGAIN = (NEVER, NEVER)


class Mark(NamedTuple):
    """Where the last look ended, and how long (by `elapsed`) the next ones may begin right behind
    it, or a little before it; the latter even where nothing is found behind it."""

    at: float
    place: int
    behind_until: float
    near_until: float
    slow_until: float


class Watermarks:
    """Of one process; and what its queues held lately. A lost update costs a longer look."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._way = math.inf
        self._due: dict[int, Mark] = {}
        self._again: dict[int, tuple[float, float]] = {}  # when something was due again, since when
        self._next: dict[int, Next] = {}
        self._coming: dict[int, list[float]] = {}
        self._stored: dict[int, tuple[int, float]] = {}
        self.kinds: dict[int, Kinds] = {}

    def forget(self) -> None:
        """Look from the beginning: it may be another server."""
        self._way = math.inf
        self._due.clear()
        self._again.clear()
        self._next.clear()
        self._stored.clear()
        self.kinds.clear()

    def elapsed(self) -> float:
        """Seconds since some moment."""
        return self._clock.elapsed()

    def _took(self, since: float) -> float:
        """Seconds that a look took more than the quickest one: that is the way to the server, which
        may become longer."""
        took = self._clock.elapsed() - since
        self._way = min(self._way * LONGER, took)
        return took - self._way

    # ---- what is due ---------------------------------------------------------------------------
    def due_from(self, queue: int) -> Point:
        """Behind what to look; START now and then, so that nothing is missed."""
        mark = self._due.get(queue)
        if mark is None:
            return START
        now = self._clock.elapsed()
        if now < mark.behind_until:
            return mark[:2]
        return (mark.at - SLACK, 0) if now < mark.near_until else START

    def due_after_nothing(self, queue: int, since: float) -> Point:
        """As `due_from`, when a look behind that, begun `since`, found nothing: START, if it may
        be."""
        self._took(since)
        mark = self._due.get(queue)
        slow = mark is not None and self._clock.elapsed() < mark.slow_until
        return (mark.at - SLACK, 0) if mark is not None and slow else START

    def looked(self, queue: int, last: Point, start: Point, since: float) -> None:
        """Note the last of what was found by a look from there that began `since`; or when it was,
        if there was nothing."""
        took = self._took(since)
        now = self._clock.elapsed()
        mark = self._due.get(queue)
        behind, near, slow = (NEVER, NEVER, NEVER) if mark is None else mark[2:]
        if start == START:
            near = now + min(LONGEST, max(LASTS, SHARE * took))
            slow = now + min(LONGEST, SHARE * took) if took > SLOW else NEVER
        if start[1] == START[1]:  # it began before the mark
            behind = now + max(NEAR_LASTS, SHARE * took)
        self._due[queue] = Mark(*last, min(behind, near), near, slow)
        again_at, again = self._again.get(queue, NOT_AGAIN)
        if again_at >= since:  # during that look, which may not have seen it
            self._begin_before(queue, again)

    def due_again(self, queue: int, since: float = math.inf) -> None:
        """Something is due now, or since then, that was not: it comes before what came later."""
        now, (at, before) = self._clock.elapsed(), self._again.get(queue, NOT_AGAIN)
        # (With what became so during the same looks.)
        self._again[queue] = (now, min(since, before) if now - at < LASTS else since)
        self._begin_before(queue, since)

    def _begin_before(self, queue: int, at: float) -> None:
        mark = self._due.get(queue)
        if mark is not None:
            self._due[queue] = mark._replace(at=min(mark.at, at), behind_until=NEVER)

    def hidden(self, queue: int, until: float) -> None:
        """Something was hidden here until then: who waits may not have to look for it."""
        times, lasts, before = self._next.get(queue, NOTHING)
        if until < before and self._clock.elapsed() < lasts:
            times.append(until)
        if (coming := self._coming.get(queue)) is not None:  # a look that may not see it
            coming.append(until)

    def next_due(self, queue: int, now: float, look: Callable[[], float | None]) -> float | None:
        """When there may be more: what the look answers, or an earlier time at which the next look
        from the beginning may be, if those are slow."""
        since = self._clock.elapsed()
        times, until, _ = self._next.get(queue, NOTHING)
        if since >= until:
            times = self._coming.setdefault(queue, [])
            try:
                found = look()
            finally:
                self._coming.pop(queue, None)
            took = self._took(since)
            until = since + min(LONGEST, SHARE * took) if took > SLOW else NEVER
            if found is not None:
                times.append(found)
            self._next[queue] = (times, until, now + until - since)
        known = min((one for one in times if one > now), default=None)
        mark = self._due.get(queue)
        until = max(until, NEVER if mark is None else mark.slow_until)
        if since >= until:
            return known
        early = now + until - since
        return early if known is None else min(known, early)

    # ---- what is stored ------------------------------------------------------------------------
    def stored_from(self, queue: int) -> int:
        """The lowest number to look at for what was stored first."""
        low, until = self._stored.get(queue, (0, NEVER))
        return low if self._clock.elapsed() < until else 0

    def stored(self, queue: int, first: int, from_low: int) -> None:
        """Note the number of the first that is stored, or the last that was given, if none is."""
        until = self._stored.get(queue, (0, NEVER))[1]
        if not from_low:
            until = self._clock.elapsed() + STORED_LASTS
        self._stored[queue] = (first, until)
