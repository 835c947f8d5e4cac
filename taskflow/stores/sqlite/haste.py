"""Which threads may not wait just now."""

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Haste(threading.local):
    """Whether this thread is in a call that may wait for nobody, or not long; of each store its
    own. `changed` when such a call had its transaction: one that wants several takes its time.
    `owes` when that has yet to wait for the disk. `patience` is how many seconds it may wait for a
    lock: None on an event loop, where it may wait a moment for another process, for no thread, and
    do no more than a few rows' work.
    """

    on = False
    changed = False
    owes = False
    patience: float | None = None
    bare = False
    """Whether the next block needs no savepoint in a gathering: its steps stand for themselves."""

    def begin(self, patience: float | None = None) -> None:
        """From here on this thread is in haste."""
        self.on, self.changed, self.owes, self.patience = True, False, False, patience

    def end(self) -> None:
        """It may wait again."""
        self.on = False

    def call(self, verb: Callable[[], T]) -> T:
        """Call it in haste. Where it would wait, the store raises WouldWait."""
        self.begin()
        try:
            return verb()
        finally:
            self.end()
