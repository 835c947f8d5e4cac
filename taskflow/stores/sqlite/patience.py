"""How long a statement waits for another process that holds the file's lock."""

import threading

from taskflow.errors import BrokerUnavailable
from taskflow.stores.sqlite.haste import Haste

LONGEST = 30.0  # seconds
HURRIED = 1.0  # seconds, once the process is leaving
SHORT, MANY = 0.001, 1000  # seconds between the first tries, and how many those are
LONG = 0.01
MOMENT, A_WHILE = 0.0002, 0.001  # seconds between two tries in haste, and together on a loop


class Patience:
    """SQLite's busy handler: called with how often this statement has tried, answers whether to
    try again, after a while. `hurry` ends a wait that is going on, too.

    Who commits is back for the lock within some 15 microseconds, so who looks once in a while
    finds it taken nearly always: with SQLite's own pauses, which grow to a tenth of a second, one
    of four senders waited for most of a second at times. Once a millisecond is often enough: 30 ms
    were the longest then, at the same rate; twice as often costs a fifth of the rate. A thread in
    haste looks more often, and gives up soon: to hand its work to another costs more than most
    transactions take.
    """

    def __init__(self, haste: Haste | None = None) -> None:
        self._haste = haste or Haste()
        self.begin_in_child()

    def begin_in_child(self) -> None:
        """This is a fork: a thread of the parent may have let go what this one waits for."""
        self._hurried = False
        # (No events: within the functions of one Ctrl-C leaves its lock taken, or gives it up.)
        self._hurry = threading.Lock()
        self._never = threading.Lock()
        for lock in (self._hurry, self._never):
            lock.acquire()

    def __call__(self, tries: int) -> bool:
        here = self._never
        again = self._wait(tries)
        if here is not self._never:
            raise BrokerUnavailable("this is a fork of the process that waited for the file's lock")
        return again

    def _wait(self, tries: int) -> bool:
        if self._haste.on:
            return self._wait_a_moment(tries)
        hurried, pause = self._hurried, self.pause(tries)
        if self.waited(tries) >= (HURRIED if hurried else LONGEST):
            return False
        if hurried:
            self._never.acquire(timeout=pause)
        elif self._hurry.acquire(timeout=pause):
            self._hurry.release()  # others wait for it, too
        return True

    def _wait_a_moment(self, tries: int) -> bool:
        patience = self._haste.patience
        if tries * MOMENT >= (A_WHILE if patience is None else patience):
            return False
        self._never.acquire(timeout=MOMENT)
        return True

    @staticmethod
    def pause(tries: int) -> float:
        """Seconds before the next try."""
        return SHORT if tries < MANY else LONG

    @staticmethod
    def waited(tries: int) -> float:
        """Seconds that so many tries have waited together."""
        return min(tries, MANY) * SHORT + max(0, tries - MANY) * LONG

    def hurry(self) -> None:
        """Wait no longer than a second from now on."""
        self._hurried = True
        try:
            self._hurry.release()
        except RuntimeError:  # it was let go before
            pass
