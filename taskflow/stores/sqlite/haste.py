"""Which threads may not wait just now."""

import threading


class Haste(threading.local):
    """Whether this thread is in a call that may wait for nobody, or not long; of each store its
    own. `changed` when such a call had its transaction: one that wants several takes its time.
    `patience` is how many seconds it may wait for a lock: None on an event loop, where it may wait
    a moment for another process, for no thread, and do no more than a few rows' work.
    """

    on = False
    changed = False
    patience: float | None = None
    bare = False
    """Whether the next block needs no savepoint in a gathering: its steps stand for themselves."""

    def begin(self, patience: float | None = None) -> None:
        """From here on this thread is in haste."""
        self.on, self.changed, self.patience = True, False, patience

    def end(self) -> None:
        """It may wait again."""
        self.on = False
