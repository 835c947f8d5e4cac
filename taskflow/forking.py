"""What must not be carried over a fork: told before it, and on both sides after it."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from random import Random
from typing import Protocol
from weakref import WeakValueDictionary


class Forkable(Protocol):
    """Holds what belongs to one process: connections, locks that a thread may hold."""

    def before_fork(self) -> None:
        """Come to rest, and stay so: the process is about to fork."""
        ...

    def after_fork(self, child: bool) -> None:
        """Go on; in the child as its own owner, of whose parent's threads none is left."""
        ...


pid = os.getpid()
"""The number of this process. To ask the system for it costs a call each time."""
RANDOM = Random()
"""For ids: seeded by the system, and anew in every child: no two processes make the same."""

_told: WeakValueDictionary[int, Forkable] = WeakValueDictionary()
_numbers = count()
_resting: list[Forkable] = []
_lock = threading.RLock()


def tell(one: Forkable) -> None:
    """Tell `one` of forks from now on, for as long as it lives. Who was here first is told first:
    in that order the files of one broker are locked by others, too."""
    with _lock:
        _told[next(_numbers)] = one


@contextmanager
def quiet() -> Iterator[None]:
    """Nobody forks inside the block: what is half open must not be carried over."""
    lock = _lock
    with lock:
        yield


def _before() -> None:
    _lock.acquire()
    for one in list(_told.values()):
        one.before_fork()
        _resting.append(one)


def _after_in_parent() -> None:
    try:
        _go_on(child=False)
    finally:
        _lock.release()


def _after_in_child() -> None:
    global _lock, pid
    pid = os.getpid()
    _lock = threading.RLock()
    RANDOM.seed()
    _go_on(child=True)


def _go_on(child: bool) -> None:
    while _resting:
        _resting.pop().after_fork(child)


os.register_at_fork(
    before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
)
