"""Pauses: which queues are paused, as this process last saw it in the coordination store."""

import logging
import threading

from taskflow.clock import Clock
from taskflow.coordination.coordination_store import CoordinationStore
from taskflow.errors import BrokerError

log = logging.getLogger("taskflow.aws")

SEEN = 5.0  # seconds for which what was seen is believed: a pause takes hold elsewhere within that


class Pauses:
    """Thread-safe. While the store cannot be reached, what was seen last goes on to hold."""

    def __init__(self, clock: Clock, store: CoordinationStore) -> None:
        self._clock = clock
        self._store = store
        self._paused: frozenset[str] = frozenset()
        self._asked: float | None = None
        self._lock = threading.Lock()

    @property
    def remote(self) -> bool:
        """Whether others may pause a queue without this process hearing of it."""
        return self._store.remote

    def refresh(self) -> None:
        """Ask the store, if that was not done lately. It may cost a request: hold no lock."""
        with self._lock:
            now = self._clock.now()
            fresh = self._asked is not None and abs(now - self._asked) < SEEN
            if fresh and self._store.remote:
                return
            self._asked = now
            try:
                self._paused = self._store.paused()
            except BrokerError as error:
                log.warning("which queues are paused is not known anew: %s", error)

    def change(self, queue: str, paused: bool) -> None:
        """Pause a queue, or resume it. Raises BrokerUnavailable."""
        self._store.pause(queue, paused)
        with self._lock:
            self._asked = None
        self.refresh()

    def __contains__(self, queue: str) -> bool:
        """As last seen; costs nothing."""
        return queue in self._paused
