"""What a process has counted and not yet written down."""

import threading

from taskflow.clock import Clock
from taskflow.stores.postgres.tallies import Tallies

EVERY = 1.0  # seconds


class TallyBook:
    """Thread-safe. What a killed process had not written is not counted."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counted = Tallies()
        self._written_at = clock.elapsed()

    def note(self, tallies: Tallies) -> None:
        """Take over what is certain now."""
        if tallies:
            with self._lock:
                self._counted.add(tallies)

    def of(self, queue: int) -> tuple[int, int]:
        """What is to be written of a queue."""
        return self._counted.handled[queue], self._counted.dead_lettered[queue]

    def due(self) -> bool:
        """Whether it is time to write."""
        return bool(self._counted) and self._clock.elapsed() - self._written_at > EVERY

    def take(self) -> list[tuple[int, int, int]]:
        """(queue, handled, dead-lettered) to write down."""
        with self._lock:
            self._written_at = self._clock.elapsed()
            taken = self._counted.rows()
            self._counted.clear()
        return taken
