"""A condition that is notified by other processes, too."""

import threading
from collections.abc import Callable, Collection

from taskflow.condition import Condition
from taskflow.stores.base import Store
from taskflow.uninterrupted import uninterrupted


class RingCondition(Condition):
    """Who waits on it hears what other processes ring at the store.

    The first of those who wait does so in the store itself, where rings arrive: a thread that heard
    them for it would have to be woken first, and then wake it. The others wait as on any condition.
    When the one in the store leaves, for whatever reason, it wakes them all, and the first that
    waits again takes its place. So a wait may end for nothing, as one on a condition may.

    `heard` is called with what was rung, by the thread that heard it, without the lock. The lock is
    held once by who waits.
    """

    def __init__(
        self, store: Store, heard: Callable[[Collection[str]], None], lock: threading.RLock
    ) -> None:
        super().__init__(lock)
        self._store = store
        self._heard = heard
        self._in_store = False

    @uninterrupted
    def wait(self, timeout: float | None = None) -> bool:
        """As `Condition.wait`."""
        if self._in_store or not self._store.hears():
            return super().wait(timeout)
        rung: Collection[str] | None = ()
        owned = self._is_owned  # type: ignore[attr-defined]
        try:
            self._in_store = True
            self.release()
            rung = self._store.hear(timeout)
        finally:
            self._in_store = False
            try:
                if rung:
                    self._heard(rung)
            finally:
                try:  # as in `Condition.wait`
                    if not owned():
                        self.acquire()
                finally:
                    if not owned():
                        self.acquire()
                super().notify_all()
        return rung is not None

    @uninterrupted
    def notify_all(self) -> None:
        """Wake all who wait, the one in the store too."""
        super().notify_all()
        if self._in_store:
            self._store.wake()
