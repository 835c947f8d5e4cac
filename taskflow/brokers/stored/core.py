"""What the parts of the stored broker share: the store, the time, randomness, who waits."""

from collections.abc import Callable, Iterable
from random import Random

from taskflow import forking
from taskflow.brokers.stored.waiters import Waiters
from taskflow.brokers.stored.waiting_seam import Waiting
from taskflow.clock import Clock
from taskflow.message import Delivery
from taskflow.stores.base import Store

_VERSION_BITS = 31


class Core(forking.Forkable):
    """Made once for each broker, and handed to each of its parts.

    One of several files has a `mark`, with which its receipts begin, and `waiters` of its own,
    which this makes.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        random: Random,
        *,
        mark: str = "",
        waiters: Callable[[], Waiting] | None = None,
    ) -> None:
        self.store = store
        self.mark = mark
        self.clock = clock
        self.random = random
        self.now = store.time(clock)
        """The time that all who share the store agree on (epoch seconds)."""
        self._make_waiters = waiters or (lambda: Waiters(store, clock, self.now))
        self.waiters: Waiting = self._make_waiters()
        self.unfinished: dict[tuple[str, str], float] = {}
        """By queue and receipt, of what was lent last those whose queue did not remember their
        event as finished then, and until when they are lent. This is so until then, or until they
        are settled: nobody else may finish what is lent."""
        forking.tell(self)

    def fresh_version(self) -> int:
        """A version for a record that is new: one that no record of its key had, in effect."""
        return self.random.getrandbits(_VERSION_BITS) << 20 | 1

    def pass_versions(self, count: int) -> None:
        """Draw so many, as whoever writes records one by one does: what is drawn after them, in a
        simulation too, is then the same whichever way was taken."""
        draw = self.random.getrandbits
        for _ in range(count):
            draw(_VERSION_BITS)

    def settle(self, deliveries: Iterable[Delivery]) -> None:
        """These are about to be settled: what was seen of them holds no longer."""
        if self.unfinished:
            for one in deliveries:
                self.unfinished.pop((one.queue, one.receipt), None)

    def after_fork(self, child: bool) -> None:
        if child:  # nobody is parked here, and a thread that is not here may hold its lock
            self.waiters = self._make_waiters()

    def close(self) -> None:
        """Close the store, and let everybody who waits find out."""
        try:
            self.store.close()
        finally:
            self.waiters.close()
