"""Which threads may not wait just now."""

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Haste(threading.local):
    """Whether this thread is in a call that may wait for nobody; of each store its own. `changed`
    when such a call had its transaction: one that wants several takes its time. `owes` when that
    has yet to wait for the disk."""

    on = False
    changed = False
    owes = False

    def call(self, verb: Callable[[], T]) -> T:
        """Call it in haste. Where it would wait, the store raises WouldWait."""
        self.on, self.changed, self.owes = True, False, False
        try:
            return verb()
        finally:
            self.on = False
