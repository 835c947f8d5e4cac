"""How quick the disk is, as seen lately: whether an event loop may wait for it."""

from collections import deque
from collections.abc import Callable

from taskflow.clock import Clock

SEEN = 100  # waits that count
EVERY = 10  # waits between two looks at them
QUICK = (
    0.001  # seconds: to hand a wait to a thread and back costs a tenth, and more where many wait
)


class Pace:
    """Of the last waits for the disk one in a hundred may have taken longer than QUICK: then the
    disk is quick. It is taken for quick until it shows that it is not; waits in threads are timed
    too, so that it can show the contrary."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: deque[float] = deque(maxlen=SEEN)
        self._count = 0
        self.quick = True

    def timed(self, wait: Callable[[], object]) -> None:
        """Wait, and note how long it took. Thread-safe enough: a wait more or less is no matter."""
        since = self._clock.elapsed()
        wait()
        took = self._clock.elapsed() - since
        self._seen.append(took)
        self._count += 1
        if took > QUICK or not self._count % EVERY:
            slow = sum(one > QUICK for one in list(self._seen))
            self.quick = slow <= max(1, len(self._seen) // SEEN)
