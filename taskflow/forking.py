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
_first = threading.Lock()
"""Of who is about to fork: others begin nothing meanwhile, for `COURTESY`."""
COURTESY = 0.1  # seconds; who is waited for may be inside of what a fork waits for


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
    that is not there may hold, and what such threads would have had in hand. What makes them must
    not hold `owner`, which would never be gone."""
    for name, make in made.items():
        setattr(owner, name, make())
    _anew[owner] = made


@contextmanager
def quiet() -> Iterator[None]:
    """Nobody forks inside the block: what is half open must not be carried over."""
    lock, first = _lock, _first
    if first.acquire(timeout=COURTESY):
        first.release()
    with lock:
        yield


def _before() -> None:
    """Everybody rests, and then nobody begins anything: who is inside a file may open another one,
    and waits for nobody here meanwhile. Those rest, too; who rests already goes on doing so, else
    files that are opened all the time would put the fork off for ever."""
    first = _first
    is_first = first.acquire(timeout=COURTESY)
    try:
        last = -1
        while True:
            _lock.acquire()
            new = [(number, one) for number, one in _told.items() if number > last]
            if not new:
                return
            _lock.release()
            last = new[-1][0]
            for _, one in new:
                one.before_fork()
                _fork.resting.append(one)
    finally:
        if is_first:
            first.release()


def _after_in_parent() -> None:
    try:
        _go_on(child=False)
    finally:
        _lock.release()


def _after_in_child() -> None:
    global _lock, _first, pid
    pid = os.getpid()
    _lock, _first = threading.RLock(), threading.Lock()
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
