"""When a schedule is due: every so many seconds, by a cron expression, or once."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice, pairwise

import msgspec

from taskflow.scheduling.cron_times import cron_after

WINDOW = 60.0  # seconds before a moment in which its last ticks are looked for first


class Timing(msgspec.Struct, gc=False, frozen=True, kw_only=True, omit_defaults=True):
    """One of `every` (seconds), `cron` (in `tz`) and `at` (epoch seconds) is given.

    Ticks are epoch seconds, and depend on nothing else than this: not on when anything was put,
    fired or asked. Those of `every` are its multiples, so they do not drift.
    """

    every: float | None = None
    cron: str | None = None
    at: float | None = None
    tz: str = "UTC"

    def next(self, moment: float) -> float | None:
        """The first tick later than a moment; None when there is none."""
        if self.cron is not None:
            return _span(self.cron, self.tz).next(moment)
        return next(self.after(moment), None)

    def after(self, moment: float) -> Iterator[float]:
        """All ticks later than a moment, in order."""
        if self.cron is not None:
            yield from cron_after(self.cron, self.tz, moment)
        elif self.every is not None:
            number = moment // self.every
            while True:
                number += 1
                if (tick := number * self.every) > moment:
                    yield tick
        elif self.at is not None and self.at > moment:
            yield self.at

    def between(self, first: float, last: float, most: int) -> list[float]:
        """The ticks from one moment to another, both included; the last `most` of them."""
        if self.every is not None:
            number = last // self.every
            first = max(first, (number - most) * self.every)
        window = WINDOW
        while True:
            begin = max(first, last - window)
            found = []
            for tick in self.after(_just_before(begin)):
                if tick > last:
                    break
                found.append(tick)
            if len(found) >= most or begin == first:
                return found[-most:]
            window *= 2

    def shortest(self) -> float:
        """The shortest of some intervals (seconds); endless when it is due once."""
        some = list(islice(self.after(0.0), 8))
        return min((two - one for one, two in pairwise(some)), default=1e11)

    def __str__(self) -> str:
        """As people write it."""
        if self.every is not None:
            return f"every {self.every:g} s"
        if self.cron is not None:
            return f"{self.cron} {self.tz}"
        return f"once at {self.at:g}"


def _just_before(moment: float) -> float:
    """A moment that a tick at `moment` is later than."""
    return moment - 0.001


class _Span:
    """The tick that an expression was last asked for. It is the next one for each moment between
    the one that was asked for and the tick, so many schedules of one expression, which are put at
    one time or fired at another, ask once; and who asks for the tick after it goes on where the
    last search stood, which takes a tenth of the time of a new one. Thread-safe: a span is replaced
    whole, and a search is one thread's while it has it.
    """

    def __init__(self, fields: str, zone: str) -> None:
        self._fields = fields
        self._zone = zone
        self._known: tuple[float, float] | None = None
        self._searches: list[tuple[float, Iterator[float]]] = []
        """One at most, with the tick that it has found last."""

    def next(self, moment: float) -> float | None:
        known = self._known
        if known is not None and known[0] <= moment < known[1]:
            return known[1]
        found = self._search(moment)
        tick = next(found, None)
        if tick is not None:
            self._known = moment, tick
            self._searches[:] = [(tick, found)]
        return tick

    def _search(self, moment: float) -> Iterator[float]:
        try:
            last, found = self._searches.pop()
        except IndexError:  # another thread has it
            pass
        else:
            if last == moment:
                return found
        return cron_after(self._fields, self._zone, moment)


_span = lru_cache(4096)(_Span)
