"""The server's time, by which all hosts agree."""

import logging
import threading
from collections.abc import Callable

from taskflow import forking
from taskflow.clock import Clock

log = logging.getLogger("taskflow.store")

AGAIN_AFTER = 30.0  # seconds
JUMP = 0.5
"""Seconds by which this machine's clock was set: then the other one is asked again."""
OFF = 1.0
"""Seconds by which this machine's clock is wrong: then its log should say so."""
TRIES = 5


class DatabaseClock(forking.Forkable):
    """Goes on by what has elapsed here since the server was last asked. Thread-safe."""

    def __init__(self, clock: Clock, ask: Callable[[], float]) -> None:
        self._clock = clock
        self._ask = ask
        self._lock = threading.Lock()
        self._ahead = 0.0  # of what has elapsed
        self._asked_at: float | None = None
        self._own = 0.0  # this machine's clock, ahead of what has elapsed
        self._complained = False
        forking.tell(self)

    def after_fork(self, child: bool) -> None:
        if child:  # a thread that is not here may hold it
            self._lock = threading.Lock()

    def ask_anew(self) -> None:
        """The server may be another one."""
        self._asked_at = None

    def now(self) -> float:
        """Epoch seconds. Raises BrokerUnavailable when the server never answered."""
        elapsed = self._clock.elapsed()
        asked_at = self._asked_at
        own = self._clock.now() - elapsed
        if asked_at is None or elapsed - asked_at > AGAIN_AFTER or abs(own - self._own) > JUMP:
            with self._lock:
                if asked_at == self._asked_at:  # nobody else has asked meanwhile
                    self._measure(own)
            elapsed = self._clock.elapsed()
        return elapsed + self._ahead

    def _measure(self, own: float) -> None:
        """The quickest answer is the truest."""
        best: tuple[float, float] | None = None
        for _ in range(TRIES):
            before = self._clock.elapsed()
            there = self._ask()
            after = self._clock.elapsed()
            trip = after - before
            if best is None or trip < best[0]:
                best = trip, there - (before + trip / 2)
        assert best is not None
        self._ahead, self._own = best[1], own
        self._asked_at = self._clock.elapsed()
        wrong = own - self._ahead
        if abs(wrong) > OFF and not self._complained:
            self._complained = True
            log.warning(
                "this machine's clock is %.1f s %s that of the database, by which taskflow goes",
                abs(wrong),
                "ahead of" if wrong > 0 else "behind",
            )
