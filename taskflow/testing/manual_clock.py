"""Time that a test turns by hand."""

import threading
from collections.abc import Callable

from taskflow import forking

REAL_LIMIT = 30.0  # seconds of real time a test may wait for another thread


class ManualClock:
    """A clock that moves only when it is told to. Thread-safe.

    Code under test waits on it as on the real one; `advance` wakes whoever is due.
    """

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start
        self._elapsed = 0.0
        self._changed: threading.Condition
        self._waits: dict[int, tuple[threading.Condition, float]]
        forking.anew(self, _changed=threading.Condition, _waits=dict)

    def now(self) -> float:
        """Seconds since the epoch, as last set."""
        return self._now

    def elapsed(self) -> float:
        """The seconds it was moved on by `advance`; a jump with `set` is none of them."""
        return self._elapsed

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Park until the condition is notified or the clock has advanced by `timeout`."""
        until = float("inf") if timeout is None else self._now + timeout
        key = threading.get_ident()
        with self._changed:
            if self._now >= until:
                return False
            self._waits[key] = condition, until
            self._changed.notify_all()
        try:
            notified = condition.wait()
        finally:
            with self._changed:
                self._waits.pop(key, None)
        return notified and self._now < until

    def advance(self, seconds: float) -> None:
        """Move on, and wake every wait that is due then."""
        self._elapsed += seconds
        self.set(self._now + seconds)

    def set(self, now: float) -> None:
        """Jump to a time, backwards too, as a clock that is set right does: nothing has lasted
        longer by that."""
        with self._changed:
            self._now = now
            due = {key: wait for key, wait in self._waits.items() if wait[1] <= now}
            for key in due:
                del self._waits[key]
        for condition, _ in due.values():
            with condition:
                condition.notify_all()

    def wait_until_parked(self, threads: int = 1) -> None:
        """Block until that many threads wait on this clock. Raises TimeoutError after 30 real
        seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._waits) >= threads, REAL_LIMIT):
                raise TimeoutError(f"{len(self._waits)} of {threads} threads wait on the clock")

    def wait_until(self, happened: Callable[[int], bool], most: float = REAL_LIMIT) -> bool:
        """Block, `most` real seconds, until it holds for the number of threads that wait on this
        clock; it is asked again when one begins to wait, and at each `nudge`. Answers whether it
        does."""
        with self._changed:
            return self._changed.wait_for(lambda: happened(len(self._waits)), most)

    def nudge(self) -> None:
        """Something that a `wait_until` asks for may have happened."""
        with self._changed:
            self._changed.notify_all()
