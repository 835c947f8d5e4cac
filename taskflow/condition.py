"""A condition that a time limit may interrupt while it waits, and at no other moment."""

import threading
from collections import deque
from contextlib import suppress

from taskflow.uninterrupted import interruptible, uninterrupted


class Condition(threading.Condition):
    """Who is interrupted in one of the standard library may leave without the lock, which it then
    lets go: one bytecode lies between giving the lock up and noting that. Here the thread is inside
    (`uninterrupted`) but for the wait itself, and Ctrl-C, which asks nobody, finds it as it was.
    The lock is held once by who waits."""

    def __init__(self, lock: "threading.RLock | None" = None) -> None:
        super().__init__(lock)
        self._parked: deque[threading.Lock] = deque()

    @uninterrupted
    def __enter__(self) -> bool:
        return self.acquire()

    @uninterrupted
    def __exit__(self, *error: object) -> None:
        self.release()

    @uninterrupted
    def wait(self, timeout: float | None = None) -> bool:
        """As `threading.Condition.wait`."""
        mine, owned = threading.Lock(), self._is_owned  # type: ignore[attr-defined]
        mine.acquire()
        self._parked.append(mine)
        woken = False
        try:
            self.release()
            woken = _block(mine, timeout)
        finally:
            try:  # Ctrl-C may have come before it was given up, and may come in here
                if not owned():
                    self.acquire()
            finally:
                if not owned():
                    self.acquire()
            if not woken:
                with suppress(ValueError):  # it was notified meanwhile
                    self._parked.remove(mine)
        return woken

    @uninterrupted
    def notify(self, n: int = 1) -> None:
        """As `threading.Condition.notify`. The lock is held."""
        for _ in range(min(n, len(self._parked))):
            self._parked.popleft().release()

    @uninterrupted
    def notify_all(self) -> None:
        """Wake all who wait. The lock is held."""
        self.notify(len(self._parked))


@interruptible
def _block(lock: threading.Lock, timeout: float | None) -> bool:
    if timeout is None:
        return lock.acquire()
    return lock.acquire(timeout=timeout) if timeout > 0 else lock.acquire(blocking=False)
