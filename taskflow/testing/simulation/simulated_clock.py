"""The time of a simulation: it moves when nothing is left to do at this moment."""

import threading
from collections.abc import Callable
from typing import Protocol

from taskflow.clock import to_datetime
from taskflow.testing.manual_clock import ManualClock


class Frozen(Protocol):
    """What `with freezegun.freeze_time(…) as frozen` gives; time-machine's does as well."""

    @property
    def move_to(self) -> Callable[..., object]:
        """Lets it be the time of a datetime."""
        ...


class SimulatedClock(ManualClock):
    """A ManualClock on which the simulation's own thread never parks: while it would wait, the
    simulation goes on (`go_on`, which is given the seconds). Other threads park.

    `frozen`, if there is one, always shows the same time.
    """

    def __init__(self, start: float, frozen: Frozen | None = None) -> None:
        super().__init__(start)
        self._frozen = frozen
        self.turn = threading.RLock()
        """Held by the thread that the simulation goes on in."""
        self.go_on: Callable[[float | None], bool] | None = None
        self.set(start)

    def set(self, now: float) -> None:
        super().set(now)
        if self._frozen is not None:
            self._frozen.move_to(to_datetime(now))

    def move_to(self, moment: float) -> None:
        """Let time pass until then; nothing when that is over."""
        if moment > self._now:
            self._elapsed += moment - self._now
            self.set(moment)

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Let the simulation go on meanwhile, if nobody else does."""
        if self.go_on is None or not self.turn.acquire(blocking=False):
            return super().wait(condition, timeout)
        condition.release()
        try:
            return self.go_on(timeout)
        finally:
            condition.acquire()
            self.turn.release()
