"""Where long polls wait: woken by sends, by other processes, by time; never by polling."""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from taskflow.clock import Clock
from taskflow.stores.base import Store

RECORD = "#"
"""What the ring of a record begins with, and the name of no queue."""


class Waiters:
    """Counts the rings of each queue and parks receivers until the next one.

    A receiver reads `rung` before it looks at the store and hands it to `park` after: a ring in
    between is seen, nothing slips through.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._parked = threading.Condition()
        self._waiting = 0
        self._rings: Counter[str] = Counter()
        self._attended: Counter[str] = Counter()  # records that somebody here waits for
        self._watchers: list[Callable[[Collection[str]], None]] = []

    def listen(self) -> None:
        """Hear other processes from now on."""
        self._store.listen(self._heard)

    def rung(self, queues: Sequence[str]) -> int:
        """How often these queues have rung."""
        with self._parked:
            return sum(self._rings[name] for name in queues)

    @contextmanager
    def attending(self, names: Sequence[str]) -> Iterator[None]:
        """Count the rings of these records meanwhile: of a million, few are waited for."""
        with self._parked:
            self._attended.update(names)
        try:
            yield
        finally:
            with self._parked:
                self._attended.subtract(names)
                for name in names:
                    if not self._attended[name]:
                        del self._attended[name], self._rings[name]

    def park(
        self, queues: Sequence[str], rung: int, until: float, stop: Callable[[], bool] | None
    ) -> bool:
        """Wait for a ring or until then; False when `stop` says so."""
        now = self._clock.now()
        if self._store.poll_interval is not None:
            until = min(until, now + self._store.poll_interval)
        with self._parked:
            if stop is not None and stop():
                return False
            if rung == sum(self._rings[name] for name in queues):
                self._waiting += 1
                try:
                    self._clock.wait(self._parked, max(0.0, until - now))
                finally:
                    self._waiting -= 1
            return stop is None or not stop()

    def announce(self, queues: Collection[str]) -> None:
        """Something is new in these queues: ring here and in other processes."""
        self._heard(queues)
        self._store.ring(queues)

    def _heard(self, queues: Collection[str]) -> None:
        with self._parked:
            for name in queues:
                if name[:1] != RECORD or name in self._attended:
                    self._rings[name] += 1
            if self._waiting:
                self._parked.notify_all()
        for watcher in self._watchers:
            watcher(queues)

    def watch(self, heard: Callable[[Collection[str]], None]) -> None:
        """Call `heard` at each ring, of other processes too."""
        self._watchers.append(heard)
        self.listen()

    def wake(self) -> None:
        """Let everybody parked here look at their `stop`."""
        with self._parked:
            self._parked.notify_all()
