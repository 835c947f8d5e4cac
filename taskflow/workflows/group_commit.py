"""Checkpoints of several runs in one transaction: whoever comes while one is made goes with the
next."""

import os
import threading
from collections import deque
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from taskflow.broker import Broker
from taskflow.broker.change import Applied, Change
from taskflow.errors import BrokerUnavailable


class _Waiting:
    """A change, and what became of it."""

    def __init__(self, change: Change) -> None:
        self.change = change
        self.answer: Applied | None = None
        self.error: Exception | None = None

    @property
    def made(self) -> bool:
        """Whether it is known what became of it."""
        return self.answer is not None or self.error is not None


class GroupCommit:
    """Makes changes of one broker. Thread-safe: one thread at a time makes those of all that wait
    for their turn. It must not be called within a transaction of its caller's, which the others
    would be part of."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._waiting: deque[_Waiting] = deque()

    def apply(self, broker: Broker, change: Change) -> Applied:
        """Make a change, on disk when this returns, or refuse it. Raises what the broker does."""
        mine = _Waiting(change)
        self._waiting.append(mine)
        with self._turn:
            if not mine.made:  # else whoever had the turn before has made it
                self._make(broker, [mine, *self._others(mine)])
        if mine.error is not None:
            raise mine.error
        assert mine.answer is not None
        return mine.answer

    def _others(self, mine: _Waiting) -> list[_Waiting]:
        found = [self._waiting.popleft() for _ in range(len(self._waiting))]
        return [one for one in found if one is not mine and not one.made]

    def _make(self, broker: Broker, some: Sequence[_Waiting]) -> None:
        try:
            answers = broker.apply([one.change for one in some])
        except Exception as error:
            if len(some) == 1 or isinstance(error, BrokerUnavailable):
                for one in some:
                    one.error = error
                return
            for one in some:  # one of them spoils the others: each by itself
                self._make(broker, [one])
            return
        for one, answer in zip(some, answers, strict=True):
            one.answer = answer


_groups: WeakKeyDictionary[Broker, GroupCommit] = WeakKeyDictionary()
os.register_at_fork(after_in_child=_groups.clear)  # a thread that is not here may have the turn


def group_of(broker: Broker) -> GroupCommit:
    """The one of a broker, for as long as that is there."""
    return _groups.setdefault(broker, GroupCommit())
