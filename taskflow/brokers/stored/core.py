"""What the parts of the stored broker share: the store, the time, randomness, who waits."""

from collections.abc import Callable
from random import Random

from taskflow import forking
from taskflow.brokers.stored.waiters import Waiters
from taskflow.brokers.stored.waiting import Waiting
from taskflow.clock import Clock
from taskflow.message import Delivery
from taskflow.stores.base import Store


class Core:
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
        self._make_waiters = waiters or (lambda: Waiters(store, clock))
        self.waiters: Waiting = self._make_waiters()
        self.unfinished: Delivery | None = None
        """What was lent last, if its queue did not remember its event as finished then. This is so
        until its lease ends or it is settled: nobody else may finish what is lent."""
        forking.tell(self)

    def before_fork(self) -> None:
        """The store looks after itself."""

    def after_fork(self, child: bool) -> None:
        if child:  # nobody is parked here, and a thread that is not here may hold its lock
            self.waiters = self._make_waiters()

    def close(self) -> None:
        """Close the store, and let everybody who waits find out."""
        try:
            self.store.close()
        finally:
            self.waiters.close()
