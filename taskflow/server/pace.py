"""How quick the disk is, as seen lately: whether an event loop may wait for it."""

from collections import deque
from collections.abc import Callable

from taskflow.clock import Clock

SEEN = 100  # waits on the loop that count
QUICK = 0.002  # seconds
PAUSE, LONGEST_PAUSE = 100, 1600  # waits that threads have, before the loop tries again


class Pace:
    """The disk is quick while at most one in a hundred waits on the loop takes longer than QUICK.
    When it is not, threads wait for a while, and for twice as long when the loop's next try was a
    short one. How long threads wait says little: they wait for the interpreter's lock as well.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: deque[bool] = deque(maxlen=SEEN)
        self._waits = 0  # since the loop began to wait, or left off
        self._pause = PAUSE
        self.quick = True

    def timed(self, wait: Callable[[], object]) -> None:
        """Wait on the loop, and note how long that takes."""
        since = self._clock.elapsed()
        wait()
        self._seen.append(self._clock.elapsed() - since > QUICK)
        self._waits += 1
        if self._seen[-1] and sum(self._seen) > 1:
            again = 2 * self._pause if self._waits < SEEN else PAUSE
            self._pause = min(LONGEST_PAUSE, again)
            self._waits = 0
            self._seen.clear()
            self.quick = False

    def elsewhere(self) -> None:
        """A thread is about to wait. Called on the loop."""
        self._waits += 1
        if self._waits >= self._pause:
            self._waits = 0
            self.quick = True
