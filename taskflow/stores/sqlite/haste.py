"""Which threads may not wait just now."""

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Haste(threading.local):
    """Whether this thread is in a call that may wait for nobody; of each store its own. `changed`
    when such a call had its transaction: one that wants several takes its time."""

    on = False
    changed = False

    def at_once(self, verb: Callable[[], T]) -> T:
        """Call it in haste. Where it would wait, the store raises WouldWait."""
        self.on, self.changed = True, False
        try:
            return verb()
        finally:
            self.on = False
