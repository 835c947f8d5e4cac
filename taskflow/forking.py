"""What must not be carried over a fork: told before it, and on both sides after it."""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from random import Random
from weakref import WeakKeyDictionary, WeakValueDictionary

from taskflow.fork_signals import ForkSignals
from taskflow.uninterrupted import uninterrupted


class Forkable:
    """Holds what belongs to one process: connections, locks that a thread may hold."""

    def is_kept(self) -> bool:
        """Whether this thread is inside and will be so after its fork, whose child gets none of
        it: `before_fork` is not called then."""
        return False

    def before_fork(self, patience: float) -> bool:
        """Come to rest, and stay so: the process is about to fork. False when other threads were
        inside for `patience` seconds."""
        return True

    def after_fork(self, child: bool) -> None:
        """Go on, if it rests; in the child as its own owner, of whose parent's threads none is
        left."""


pid = os.getpid()
"""The number of this process. To ask the system for it costs a call each time."""
RANDOM = Random()
"""For ids: seeded by the system, and anew in every child: no two processes make the same."""

_told: WeakValueDictionary[int, Forkable] = WeakValueDictionary()
_numbers = count()
_anew: WeakKeyDictionary[object, dict[str, Callable[[], object]]] = WeakKeyDictionary()
_lock = threading.RLock()
"""Of who forks, or opens something; who has it waits for nobody that rests or is inside."""
_resting: set[int] = set()
"""Who rests, by number, for whichever thread. Who goes on does it under the lock."""
_first = threading.Lock()
"""Of who is about to fork: others begin nothing meanwhile, for `COURTESY`."""
COURTESY = 0.1  # seconds; who is waited for may be inside of what a fork waits for
PATIENCE = 0.1  # seconds; who is waited for may want what rests
TRIES = 10
"""How often a thread that is inside of something has this patience with others, who may want just
that. Then it forks without them, and the child has none of what they are inside of."""


class _Fork(threading.local):
    """Of the thread that forks: who rests for it, by number. (It may be in a handler of signals,
    and have begun another one before.)"""

    def __init__(self) -> None:
        self.begun: list[dict[int, Forkable]] = []


_fork = _Fork()
_signals = ForkSignals()


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


@uninterrupted  # what comes within is lost: Python ignores it, and forks
def _before() -> None:
    """Everybody rests, and then nobody begins anything: who is inside a file may open another one,
    and waits for nobody here meanwhile. Those rest, too; who rests already goes on doing so, else
    files that are opened all the time would put the fork off for ever. But who is inside a file may
    want one that rests: if that lasts, all go on, and the one that was late is the first to rest.
    Another thread may fork meanwhile, from inside a file: what rests for this one does so for it,
    too."""
    _signals.hold()
    mine: dict[int, Forkable] = {}
    _fork.begun.append(mine)
    with _lock:
        kept = {number for number, one in _told.items() if one.is_kept()}
    without: set[int] = set()
    late, tries = -1, 0
    first = _first
    is_first = first.acquire(timeout=COURTESY)
    try:
        while True:
            _lock.acquire()
            waiting = set(_told) - mine.keys() - _resting - kept - without
            awaited = sorted(waiting, key=lambda number: (number != late, number))
            if not awaited:
                return
            _lock.release()
            for number in awaited:
                one = _told.get(number)
                if one is None or number in _resting:
                    continue
                if one.before_fork(PATIENCE):
                    mine[number] = one
                    _resting.add(number)
                    continue
                tries += 1
                if kept and tries > TRIES:
                    without.add(number)
                    continue
                late = number
                with _lock:
                    _go_on(mine)
                break
    finally:
        if is_first:
            first.release()


def _go_on(resting: dict[int, Forkable]) -> None:
    while resting:
        number, one = resting.popitem()
        _resting.discard(number)
        one.after_fork(False)


@uninterrupted
def _after_in_parent() -> None:
    try:
        if _fork.begun:  # else a signal came first
            try:
                _go_on(_fork.begun.pop())
            finally:
                _lock.release()
    finally:
        _signals.let_go(_after_in_parent.__code__)


def _after_in_child() -> None:
    _signals.forget()
    try:
        _begin_in_child()
    finally:
        _signals.let_go(_after_in_child.__code__)


def _begin_in_child() -> None:
    global _lock, _first, pid
    pid = os.getpid()
    _lock, _first = threading.RLock(), threading.Lock()
    _resting.clear()
    for resting in _fork.begun:
        resting.clear()
    _fork.begun[-1:] = []
    RANDOM.seed()
    for owner, made in list(_anew.items()):
        for name, make in made.items():
            setattr(owner, name, make())
    for one in reversed(list(_told.values())):
        one.after_fork(True)


# The last who is registered comes first: before the lock of `logging` is held for the fork, which a
# thread may want that is inside of something.
assert logging
os.register_at_fork(
    before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
)
