"""Checkpoints of several runs in one transaction: whoever comes while one is made goes with the
next, and who comes before the disk is waited for waits for it with the others."""

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast
from weakref import WeakKeyDictionary

from taskflow.broker import Broker
from taskflow.broker.change import Applied, Change
from taskflow.broker.prompt import Gathered, WouldWait, at_once
from taskflow.errors import BrokerUnavailable
from taskflow.uninterrupted import uninterrupted

Wait = Callable[[], None]
_UNMADE = Exception("not made yet")
PATIENCE = 30.0  # seconds to wait for locks of others, as a change does by itself
QUICK = 0.002  # seconds: a disk that takes longer is waited for together, at more transactions


class _Waiting:
    """A change, and what became of it. `told` is released when that is known, and when who waits
    for it `leads`: it is to make those of all that wait. `answer` is what the broker says of it,
    which becomes its `outcome` when that is on disk: when its transaction's `wait` has returned."""

    def __init__(self, change: Change) -> None:
        self.change = change
        self.answer: Applied | Exception = _UNMADE
        self.outcome: Applied | Exception = _UNMADE
        self.wait: Wait | None = None
        self.leads = False
        self.told = threading.Lock()
        self.told.acquire()

    @property
    def made(self) -> bool:
        """Whether it is known what became of it."""
        return self.outcome is not _UNMADE


class GroupCommit:
    """Makes changes of one broker. Thread-safe: one thread at a time makes those of all that have
    come while another one did, and wakes each of them. It must not be called within a transaction
    of its caller's, which the others would be part of."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()  # for a moment
        self._owner: object = None  # who makes changes, or is told to; a thread may be interrupted
        self._waiting: deque[_Waiting] = deque()
        self._taken: list[_Waiting] = []  # which the owner makes, until they are told
        self._has_company = False  # of late
        self._syncs = True  # whether there is a disk to wait for, as far as is known
        self._is_slow = False  # whether that took long, the last time
        self._waits: list[Wait] = []
        """What is owed before anybody is told of what was committed; its owner's. (One for each
        transaction: between two of them the file may have become another.)"""

    @uninterrupted
    def apply(self, broker: Broker, change: Change) -> Applied:
        """Make a change, on disk when this returns, or refuse it. Raises what the broker does."""
        if not (self._has_company and self._syncs and self._is_slow):
            me = object()
            try:
                if self._begin(me):  # nobody else is here
                    return broker.apply((change,))[0]
            finally:
                self._end(me)
        (made,) = self.apply_all(broker, (change,))
        if isinstance(made, Exception):
            raise made
        return made

    @uninterrupted
    def apply_all(self, broker: Broker, changes: Sequence[Change]) -> list[Applied | Exception]:
        """Make or refuse several, as `apply`; for each what that answers or raises."""
        mine = [_Waiting(change) for change in changes]
        try:
            with self._mutex:
                for one in mine:
                    self._waiting.append(one)
                if self._owner is None:
                    self._owner, mine[0].leads = mine[0], True
            for one in mine:
                while not one.made:
                    if not one.leads:
                        one.told.acquire()
                    if one.leads:
                        self._make_waiting(broker, mine)
        finally:  # a thread may be interrupted while it waits
            self._leave(mine)
        return [one.outcome for one in mine]

    @uninterrupted
    def at_once(
        self, broker: Gathered, changes: Sequence[Change]
    ) -> tuple[list[Applied], Callable[[], None] | None]:
        """Make or refuse several, where nobody may wait: as `at_once`."""
        me = object()
        try:
            if not self._begin(me):
                raise WouldWait
            return at_once(broker, lambda: cast(Broker, broker).apply(changes))
        finally:
            self._end(me)

    def _begin(self, me: object) -> bool:
        """Whether nobody makes any; from here to `_end` this one does."""
        with self._mutex:
            if self._owner is None:
                self._owner = me
            return self._owner is me

    def _end(self, me: object) -> None:
        """The next one makes those that have come meanwhile, if this one made any."""
        if self._owner is me:
            with self._mutex:
                self._hand_on()

    def begin_in_child(self) -> None:
        """This is a fork: of the threads that have the turn or wait for it none is here, unless it
        was the one that forked, which hands on nothing."""
        self._mutex = threading.Lock()
        self._owner = None
        self._waiting, self._taken, self._waits = deque(), [], []

    def _hand_on(self) -> None:
        self._owner = self._waiting[0] if self._waiting else None
        self._has_company = self._has_company or bool(self._waiting)
        if self._waiting:
            self._waiting[0].leads = True
            self._waiting[0].told.release()

    def _leave(self, mine: Sequence[_Waiting]) -> None:
        """Nobody waits for these any more; whoever was to lead leaves that to the next one."""
        if self._owner not in mine and all(one.made and not one.leads for one in mine):
            return
        with self._mutex:
            for one in mine:
                if one in self._waiting:
                    self._waiting.remove(one)
            self._end_turn(mine)

    def _make_waiting(self, broker: Broker, mine: Sequence[_Waiting]) -> None:
        """Make those of all that wait, `mine` among them, and of those that come meanwhile, if
        there is a slow disk to wait for; then tell them."""
        some = self._taken
        try:
            while more := self._take(some):
                self._make(broker, [one for one in more if one.answer is _UNMADE])
                if not self._waits:
                    break
            self._secure(broker, some)
            for one in some:
                one.outcome = one.answer
        finally:
            with self._mutex:
                self._end_turn(mine)

    def _take(self, some: list[_Waiting]) -> list[_Waiting]:
        """Those that wait, which are among `some` from here on: whoever is interrupted now leaves
        them there."""
        before = len(some)
        with self._mutex:
            some += self._waiting
            self._waiting.clear()
        return some[before:]

    def _end_turn(self, mine: Sequence[_Waiting]) -> None:
        """Tell those that were made; the next one makes the others, if it is still the turn of one
        of `mine`. The mutex is held. Who is interrupted in it does it again."""
        for one in self._taken:
            if one.made and one.told.locked():
                one.told.release()
        for one in mine:
            one.leads = False
        if self._owner not in mine:
            return
        self._has_company = len(self._taken) > len(mine)
        if again := [one for one in self._taken if not one.made and one not in mine]:
            self._waiting, self._taken = deque([*again, *self._waiting]), []
        else:
            self._taken = []
        self._hand_on()

    def _make(self, broker: Broker, some: Sequence[_Waiting]) -> None:
        if not some:
            return
        try:
            answers, wait = self._commit(broker, [one.change for one in some])
        except Exception as error:
            if len(some) == 1 or isinstance(error, BrokerUnavailable):
                for one in some:
                    one.answer = error
                return
            for one in some:  # one of them spoils the others: each by itself
                self._make(broker, [one])
            return
        for one, answer in zip(some, answers, strict=True):
            one.answer, one.wait = answer, wait

    def _commit(
        self, broker: Broker, changes: Sequence[Change]
    ) -> tuple[Sequence[Applied], Wait | None]:
        """Make them in one transaction; they are on disk, or that is owed, and answered with
        them."""
        if self._syncs and self._is_slow and isinstance(broker, Gathered):
            try:
                outcomes, wait = broker.gathered([lambda: broker.apply(changes)], PATIENCE)
            except WouldWait:
                return broker.apply(changes), None
            ((answers, error),) = outcomes
            if error is not None:
                raise error
            self._syncs = wait is not None
            if wait is not None:
                self._waits.append(wait)
            made: Sequence[Applied] = answers
            return made, wait
        began = broker.clock.elapsed()
        made = broker.apply(changes)
        self._is_slow = broker.clock.elapsed() - began > QUICK
        return made, None

    def _secure(self, broker: Broker, some: Sequence[_Waiting]) -> None:
        """What was committed is on disk from here on; or it is not known of those whose wait has
        failed, who are told that, and nobody else."""
        if not self._waits:
            return
        began = broker.clock.elapsed()
        for wait in self._waits:
            try:
                wait()
            except Exception as error:
                for one in some:
                    made = isinstance(one.answer, Applied) and one.answer.refused is None
                    if one.wait is wait and made:
                        one.answer = error
        self._is_slow = broker.clock.elapsed() - began > QUICK
        self._waits.clear()


_groups: WeakKeyDictionary[Broker, GroupCommit] = WeakKeyDictionary()


def _begin_in_child() -> None:
    for group in list(_groups.values()):  # runs that go on in the fork have theirs
        group.begin_in_child()


os.register_at_fork(after_in_child=_begin_in_child)


def group_of(broker: Broker) -> GroupCommit:
    """The one of a broker, for as long as that is there."""
    found = _groups.get(broker)
    return _groups.setdefault(broker, GroupCommit()) if found is None else found
