"""A condition that a time limit may interrupt while it waits, and at no other moment."""

import threading
from collections import deque
from contextlib import suppress

from taskflow.uninterrupted import interruptible, uninterrupted


class Condition(threading.Condition):
    """Who is interrupted in one of the standard library may leave without the lock, which it then
    lets go: one bytecode lies between giving the lock up and noting that. Here the thread is inside
    (`uninterrupted`) but for the wait itself. The lock is held once by who waits."""

    def __init__(self, lock: "threading.RLock | threading.Lock | None" = None) -> None:
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
        mine = threading.Lock()
        mine.acquire()
        self._parked.append(mine)
        self.release()
        woken = False
        try:
            woken = _block(mine, timeout)
        finally:
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
