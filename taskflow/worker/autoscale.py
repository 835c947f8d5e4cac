"""How many slots the backlog asks for. Pure: it is told the time and the numbers."""

import math

from taskflow.worker.bounds import Bounds

TARGET = 1.0  # seconds in which what waits is to be begun
STEP = 2  # times as many at most, from one look to the next
IDLE = 30.0  # seconds in which fewer would have done, before one slot goes
BETWEEN = 10.0  # seconds until the next one goes
FULL = 0.9  # share of a core from which on more slots would not make it faster


class Autoscale:
    """One number of slots within bounds, and why it is what it is. Not thread-safe.

    It grows at once, and doubles at most at each look; it shrinks late, one by one. Only what
    waits in the broker makes it grow: what the worker received already, started or not, says
    nothing of what is left. A slot that runs something is not taken away.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._below_since: float | None = None
        self._shrinks_at = 0.0
        self._kept = False
        self.size = bounds.least
        """How many slots there are to be."""
        self.reason = ""
        """What the last look that changed something, or could not, found; empty before that."""

    def look(self, now: float, waiting: int, mean: float, busy: int, cpu: float) -> bool:
        """Decide anew; whether `reason` is a new one.

        `now`: seconds on a clock that only goes on. `waiting`: messages that may be received, at
        least so many; `mean`: the seconds that each will take. `busy`: slots that run something.
        `cpu`: the share of a core that the process has used since the last look.
        """
        need = math.ceil(waiting * mean / TARGET - 1e-9)
        if need > self.size < self._bounds.most:
            self._below_since = None
            return self._grow(need, f"{waiting} or more wait, {_seconds(mean)} each", cpu)
        self._kept = False
        if max(need, busy, self._bounds.least) >= self.size:
            self._below_since = None
            return False
        if self._below_since is None:
            self._below_since, self._shrinks_at = now, now + IDLE
        if now < self._shrinks_at:
            return False
        self._shrinks_at = now + BETWEEN
        return self._change(self.size - 1, f"{now - self._below_since:.0f} s with fewer at work")

    def _grow(self, need: int, why: str, cpu: float) -> bool:
        if cpu > FULL:
            news, self._kept = not self._kept, True
            if news:
                self.reason = (
                    f"kept at {self.size}: {why}, but the process uses {cpu:.0%} of a core"
                )
            return news
        self._kept = False
        return self._change(min(need, self.size * STEP, self._bounds.most), why)

    def _change(self, size: int, why: str) -> bool:
        self.reason = f"{self.size} to {size}: {why}"
        self.size = size
        return True


def _seconds(mean: float) -> str:
    return f"{mean:.3g} s" if mean >= 1 else f"{mean * 1000:.3g} ms"
