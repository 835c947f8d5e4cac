"""Checkpoints of several runs in one transaction: whoever comes while one is made goes with the
next."""

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast
from weakref import WeakKeyDictionary

from taskflow.broker import Broker
from taskflow.broker.change import Applied, Change
from taskflow.broker.prompt import Prompt, WouldWait
from taskflow.errors import BrokerUnavailable


class _Waiting:
    """A change, and what became of it."""

    def __init__(self, change: Change) -> None:
        self.change = change
        self.outcome: Applied | Exception = _UNMADE

    @property
    def made(self) -> bool:
        """Whether it is known what became of it."""
        return self.outcome is not _UNMADE


_UNMADE = Exception("not made yet")


class GroupCommit:
    """Makes changes of one broker. Thread-safe: one thread at a time makes those of all that wait
    for their turn. It must not be called within a transaction of its caller's, which the others
    would be part of."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._waiting: deque[_Waiting] = deque()

    def apply(self, broker: Broker, change: Change) -> Applied:
        """Make a change, on disk when this returns, or refuse it. Raises what the broker does."""
        if not self._waiting and self._turn.acquire(blocking=False):
            try:
                return broker.apply((change,))[0]  # nobody else is here
            finally:
                self._turn.release()
        (made,) = self.apply_all(broker, (change,))
        if isinstance(made, Exception):
            raise made
        return made

    def apply_all(self, broker: Broker, changes: Sequence[Change]) -> list[Applied | Exception]:
        """Make or refuse several, as `apply`; for each what that answers or raises."""
        mine = [_Waiting(change) for change in changes]
        for one in mine:
            self._waiting.append(one)
        with self._turn:
            # Else whoever had the turn before has made them.
            if left := [one for one in mine if not one.made]:
                self._make(broker, [*left, *self._others(mine)])
        return [one.outcome for one in mine]

    def at_once(
        self, broker: Prompt, changes: Sequence[Change]
    ) -> tuple[list[Applied], Callable[[], None] | None]:
        """Make or refuse several, where nobody may wait: as `Prompt.at_once`."""
        if not self._turn.acquire(blocking=False):
            raise WouldWait
        try:
            return broker.at_once(lambda: cast(Broker, broker).apply(changes))
        finally:
            self._turn.release()

    def _others(self, mine: Sequence[_Waiting]) -> list[_Waiting]:
        found = [self._waiting.popleft() for _ in range(len(self._waiting))]
        return [one for one in found if one not in mine and not one.made]

    def _make(self, broker: Broker, some: Sequence[_Waiting]) -> None:
        try:
            answers = broker.apply([one.change for one in some])
        except Exception as error:
            if len(some) == 1 or isinstance(error, BrokerUnavailable):
                for one in some:
                    one.outcome = error
                return
            for one in some:  # one of them spoils the others: each by itself
                self._make(broker, [one])
            return
        for one, answer in zip(some, answers, strict=True):
            one.outcome = answer


_groups: WeakKeyDictionary[Broker, GroupCommit] = WeakKeyDictionary()
os.register_at_fork(after_in_child=_groups.clear)  # a thread that is not here may have the turn


def group_of(broker: Broker) -> GroupCommit:
    """The one of a broker, for as long as that is there."""
    found = _groups.get(broker)
    return _groups.setdefault(broker, GroupCommit()) if found is None else found
