"""The files that one process has as its own: apart from those of others."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from random import Random

from taskflow import forking
from taskflow.broker.change import Change, Free
from taskflow.brokers.sharded.shard import Shard
from taskflow.clock import Clock
from taskflow.errors import BrokerError
from taskflow.message import new_id

HELD = 60.0
"""Seconds that a file is a process's own without a word from it."""
RENEWED = 15.0
LOOKS = 0.25
"""Seconds between two looks whose the files are: others have come, or have gone."""


class Home:
    """The files that one process has as its own, for one purpose: one that nobody else has, while
    there are enough, and those that nobody has. It is a hint, and costs a write each RENEWED
    seconds. Thread-safe."""

    def __init__(self, purpose: str, shards: Sequence[Shard], clock: Clock, random: Random) -> None:
        self._purpose = purpose
        self._shards = shards
        self._clock = clock
        self._random = random
        self._lock: threading.Lock
        forking.anew(self, _lock=threading.Lock)
        self._renew_at = self._look_at = float("-inf")
        self._pid = 0
        self._holder = ""
        self.number = random.randrange(len(shards))
        """The one that nobody else has, as far as is known."""
        self._own: Sequence[int] = [self.number]

    def look(self, now: float) -> Sequence[int]:
        """Their numbers."""
        if (now >= self._look_at or self._pid != forking.pid) and self._lock.acquire(False):
            try:
                self._hold(now)
            except BaseException:  # such as WouldWait: whoever can wait does it
                self._look_at = self._renew_at = float("-inf")
                raise
            finally:
                self._lock.release()
        return self._own

    def leave(self) -> None:
        """Let others have it at once."""
        if self._pid == forking.pid:
            free = Change(keys=[Free(self._purpose, self._holder)])
            with suppress(BrokerError):  # then they have it a little later
                self._from(self.number)[0].broker.apply([free], durable=False)

    def _hold(self, now: float) -> None:
        if self._pid != forking.pid:
            self._pid, self._holder = forking.pid, new_id(now, self._random)
            self._renew_at = float("-inf")
        self._look_at = now + LOOKS
        with suppress(BrokerError):  # what has to be told of it, the next verb meets too
            if now >= self._renew_at:
                self._renew_at = now + RENEWED
                self._take()
            self._look_around()

    def _take(self) -> None:
        for shard in self._from(self.number):
            if shard.broker.hold(self._purpose, self._holder, HELD):
                self.number = shard.number
                break

    def _look_around(self) -> None:
        self._own = [
            shard.number
            for shard in self._from(self.number)
            if shard.number == self.number or not shard.broker.holders([self._purpose])
        ]

    def _from(self, first: int) -> Sequence[Shard]:
        at = first % len(self._shards)
        return [*self._shards[at:], *self._shards[:at]]
