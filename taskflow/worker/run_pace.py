"""How long handlers take, by which a pool knows whether threads help."""

from collections.abc import Collection

LENGTH = 5  # runs whose median it is
SHORT = 0.001  # seconds: handlers faster than this (on average) run in one thread
FIRST_PAUSE, LAST_PAUSE = 0.1, 10.0  # seconds between two trials


class RunPace:
    """The median of the last few runs, since one that waited for the processor says nothing of it.
    Not thread-safe. Slow until proven short.

    Runs beside others wait for each other, so that short ones look slow in many threads. Where each
    might be short alone, that is tried: they are taken for short, until those that have begun since
    say how long they are. It is tried less and less often while that is in vain.
    """

    def __init__(self) -> None:
        self.seconds = 1.0
        """That a handler takes."""
        self._last = [1.0] * LENGTH
        self._shares = [1.0] * LENGTH  # of each of the last runs, if those beside it had as much
        self._count = 0
        self._pause = FIRST_PAUSE
        self._trial_from = 0.0  # no sooner
        self._since = 0.0  # what began before is no part of the trial
        self._tries = False

    @property
    def is_short(self) -> bool:
        """Whether handlers are so fast that one thread does."""
        return self.seconds <= SHORT

    def note(self, began: float, now: float, beside: int) -> None:
        """A run has ended, while so many others ran; times are the clock's `elapsed`."""
        if began < self._since:
            return
        at, was_short = self._count % LENGTH, self.is_short
        self._count += 1
        seconds = max(1e-6, now - began)
        share = seconds / (beside + 1)
        self._last[at], self._shares[at] = share if self._tries else seconds, share
        self.seconds = _median(self._last)
        if self._tries:
            self._judge(now)
        elif not was_short and (self.is_short or now >= self._trial_from):
            self._try(now)

    def _try(self, now: float) -> None:
        """Begin a trial, if runs might be short alone."""
        if (share := _median(self._shares)) <= SHORT:
            self._tries, self._since = True, now
            self._last, self.seconds = list(self._shares), share

    def _judge(self, now: float) -> None:
        """See whether the trial is over."""
        if not self.is_short:
            self._tries = False
            self._trial_from = now + self._pause
            self._pause = min(LAST_PAUSE, 2 * self._pause)
        elif now - self._since > FIRST_PAUSE:
            self._tries, self._pause = False, FIRST_PAUSE


def _median(values: Collection[float]) -> float:
    return sorted(values)[len(values) // 2]
