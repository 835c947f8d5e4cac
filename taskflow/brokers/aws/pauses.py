"""Pauses: which queues are paused, as this process last saw it in the coordination store."""

import logging
import threading

from taskflow import forking
from taskflow.clock import Clock
from taskflow.coordination.coordination_store import CoordinationStore
from taskflow.errors import BrokerError

log = logging.getLogger("taskflow.aws")

SEEN = 5.0  # seconds for which what was seen is believed: a pause takes hold elsewhere within that
AWAY = 30.0  # seconds until a store that could not be reached is asked again


class Pauses:
    """Thread-safe. While the store cannot be reached, what was seen last goes on to hold."""

    def __init__(self, clock: Clock, store: CoordinationStore) -> None:
        self._clock = clock
        self._store = store
        self._paused: frozenset[str] = frozenset()
        self._asked: tuple[float, float] | None = None  # when, and for how long that is believed
        self._lock: threading.Lock
        forking.anew(self, _lock=threading.Lock)

    @property
    def remote(self) -> bool:
        """Whether others may pause a queue without this process hearing of it."""
        return self._store.remote

    def refresh(self) -> None:
        """Ask the store, if that was not done lately, nor by another thread just now. It may cost
        a request: hold no lock."""
        if self._is_fresh() or not self._lock.acquire(blocking=self._asked is None):
            return
        try:
            if not self._is_fresh():  # it was another that asked first
                self._ask()
        finally:
            self._lock.release()

    def _is_fresh(self) -> bool:
        if self._asked is None or not self._store.remote:
            return False
        at, seconds = self._asked
        return abs(self._clock.now() - at) < seconds  # a clock may be set back

    def _ask(self) -> None:
        """The lock is held."""
        believed = SEEN
        try:
            self._paused = self._store.paused()
        except BrokerError as error:
            believed = AWAY
            log.warning("which queues are paused is not known anew: %s", error)
        self._asked = self._clock.now(), believed

    def change(self, queue: str, paused: bool) -> None:
        """Pause a queue, or resume it. Raises BrokerUnavailable."""
        with self._lock:
            self._store.pause(queue, paused)
            self._ask()

    def __contains__(self, queue: str) -> bool:
        """As last seen; costs nothing."""
        return queue in self._paused
