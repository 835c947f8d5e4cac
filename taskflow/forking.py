"""What must not be carried over a fork: told before it, and on both sides after it."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from random import Random
from typing import Protocol
from weakref import WeakKeyDictionary, WeakValueDictionary


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
_anew: WeakKeyDictionary[object, dict[str, Callable[[], object]]] = WeakKeyDictionary()
_lock = threading.RLock()


class _Fork(threading.local):
    """Of the thread that forks: who rests for it."""

    def __init__(self) -> None:
        self.resting: list[Forkable] = []


_fork = _Fork()


def tell(one: Forkable) -> None:
    """Tell `one` of forks from now on, for as long as it lives. Who was here first is told first:
    in that order the files of one broker are locked by others, too."""
    with _lock:
        _told[next(_numbers)] = one


def anew(owner: object, **made: Callable[[], object]) -> None:
    """Give `owner` these attributes, made now, and made anew in each fork: locks, which a thread
    that is not there may hold, and what such threads would have had in hand."""
    for name, make in made.items():
        setattr(owner, name, make())
    _anew[owner] = made


@contextmanager
def quiet() -> Iterator[None]:
    """Nobody forks inside the block: what is half open must not be carried over."""
    lock = _lock
    with lock:
        yield


def _before() -> None:
    """Everybody rests, and then nobody begins anything: who is inside a file may open another one,
    and waits for nobody here meanwhile."""
    while True:
        with _lock:
            told = list(_told.items())
        for _, one in told:
            one.before_fork()
            _fork.resting.append(one)
        if _lock.acquire(blocking=False):
            if told[-1:] == list(_told.items())[-1:]:
                return
            _lock.release()
        _go_on(child=False)


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
    for owner, made in list(_anew.items()):
        for name, make in made.items():
            setattr(owner, name, make())
    _go_on(child=True)


def _go_on(child: bool) -> None:
    resting = _fork.resting
    while resting:
        resting.pop().after_fork(child)


os.register_at_fork(
    before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
)
