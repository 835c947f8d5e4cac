"""Where long polls wait: woken by sends, by other processes, by time; never by polling."""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat

from taskflow.brokers.stored.ring_condition import RingCondition
from taskflow.clock import Clock
from taskflow.stores.base import Store
from taskflow.uninterrupted import uninterrupted

RECORD = "#"
"""What the ring of a record begins with, and the name of no queue."""


class _Kept(threading.local):
    """What the thread announces later; None: at once."""

    queues: set[str] | None = None


class Keeping:
    """`with` it to announce later. (Written out: a generator costs as much as a statement.)"""

    def __init__(self, kept: _Kept, announce: Callable[[Collection[str]], None]) -> None:
        self._kept = kept
        self._announce = announce

    def __enter__(self) -> None:
        self._kept.queues = set()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        kept, self._kept.queues = self._kept.queues, None
        self._announce(kept or ())


class Waiters:
    """Counts the rings of each queue and parks receivers until the next one.

    A receiver reads `rung` before it looks at the store and hands it to `park` after: a ring in
    between is seen, nothing slips through.
    """

    def __init__(self, store: Store, clock: Clock, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now
        self._clock = clock
        self._lock = threading.RLock()
        self._parked = RingCondition(store, self.heard, self._lock)
        self._waiting = 0
        self._rings: Counter[str] = Counter()
        self._attended: Counter[str] = Counter()  # records that somebody here waits for
        self._watchers: list[Callable[[Collection[str]], None]] = []
        self._listener: threading.Thread | None = None
        self._away = False
        self._closed = False
        self._kept = _Kept()

    def listen(self) -> None:
        """Miss no ring of other processes from now on: who parks hears them."""
        self._store.listen()

    def rung(self, queues: Sequence[str]) -> list[int]:
        """How often each of these queues has rung."""
        with self._lock:
            return self._rung(queues)

    def _rung(self, queues: Sequence[str]) -> list[int]:
        # (To ask a Counter for what it has not is a call of Python's.)
        return list(map(self._rings.get, queues, repeat(0)))

    @contextmanager
    def attending(self, names: Sequence[str]) -> Iterator[None]:
        """Count the rings of these records meanwhile: of a million, few are waited for."""
        with self._lock:
            self._attended.update(names)
        try:
            yield
        finally:
            with self._lock:
                self._attended.subtract(names)
                for name in names:
                    if not self._attended[name]:
                        del self._attended[name], self._rings[name]

    @uninterrupted
    def park(
        self, queues: Sequence[str], rung: list[int], until: float, stop: Callable[[], bool] | None
    ) -> bool:
        """Wait for a ring or until then; False when `stop` says so."""
        now = self._now()
        if self._store.poll_interval is not None:
            until = min(until, now + self._store.poll_interval)
        with self._lock:
            if stop is not None and stop():
                return False
            if rung == self._rung(queues):
                self._waiting += 1
                try:
                    self._clock.wait(self._parked, max(0.0, until - now))
                finally:
                    self._waiting -= 1
            return stop is None or not stop()

    def announce(self, queues: Collection[str]) -> None:
        """Something is new in these queues: ring here and in other processes. Of none, nobody need
        wake: most steps of workflows ring none."""
        if not queues:
            return
        if (kept := self._kept.queues) is not None:
            kept.update(queues)
            return
        self._store.ring(queues)  # first: those are farther away
        self.heard(queues)

    def heard(self, queues: Collection[str]) -> None:
        """As `announce`, here only."""
        with self._lock:  # the condition's, by a block of C: Ctrl-C comes before it, or in it
            for name in queues:
                if name[:1] != RECORD or name in self._attended:
                    self._rings[name] += 1
            if self._waiting:
                self._parked.notify_all()
        for watcher in self._watchers:
            watcher(queues)

    def watch(self, heard: Callable[[Collection[str]], None]) -> None:
        """Call `heard` at each ring, of other processes too, from any thread: as nobody may be
        parked, one of our own hears them."""
        self._watchers.append(heard)
        self.listen()
        with self._lock:
            if self._listener is None and self._store.poll_interval is not None:
                self._listener = threading.Thread(
                    target=self._hear_on, name="taskflow-doorbell", daemon=True
                )
                self._listener.start()

    def _hear_on(self) -> None:
        """Wait as who is parked does, but for nothing. (No time is waited for: without a bell it
        looks now and then whether there is one again.)"""
        with self._lock:
            while not self._closed:
                idle = self._away or self._store.hears()
                self._parked.wait(None if idle else self._store.poll_interval)

    def attend(self) -> None:
        """Hear other processes again."""
        self.listen()  # first: what rings before the thread hears is kept
        with self._lock:
            self._away = False
            self._parked.notify_all()

    def look_away(self) -> None:
        """Hear no other processes until `attend`, unless somebody is parked here."""
        with self._lock:
            if self._waiting or self._away:
                return
            self._away = True
        self._store.ignore()

    def keeping(self) -> "Keeping":
        """A block: what this thread announces in it is announced at the end, once; until then
        others may not see it."""
        return Keeping(self._kept, self.announce)

    def wake(self) -> None:
        """Let everybody parked here look at their `stop`."""
        with self._lock:
            self._parked.notify_all()

    def close(self) -> None:
        """The store is closed: nothing is heard any more."""
        with self._lock:
            self._closed = True
            self._parked.notify_all()
        if self._listener is not None and self._listener is not threading.current_thread():
            self._listener.join(1.0)
