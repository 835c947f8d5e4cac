"""Checkpoints of several runs in one transaction: whoever comes while one is made goes with the
next."""

import threading
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
        self.done = threading.Lock()
        self.done.acquire()


class Checkpointer:
    """Makes changes of a broker, on disk when `apply` returns. Thread-safe: of threads that come at
    once, one makes the changes of all. It must not be called within a transaction of its caller's,
    which others would be part of."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []
        self._busy = False

    def apply(self, change: Change) -> Applied:
        """Make a change, or refuse it. Raises what the broker does."""
        mine = _Waiting(change)
        with self._lock:
            self._waiting.append(mine)
            leads, self._busy = not self._busy, True
        if not leads:
            mine.done.acquire()  # another thread makes it, or hands the lead on
        if mine.answer is None and mine.error is None:
            self._lead()
        if mine.error is not None:
            raise mine.error
        assert mine.answer is not None
        return mine.answer

    def _lead(self) -> None:
        with self._lock:
            some, self._waiting = self._waiting, []
        try:
            self._make(some)
        finally:
            with self._lock:
                following = self._waiting[0] if self._waiting else None
                self._busy = following is not None
            for one in some:
                one.done.release()
            if following is not None:
                following.done.release()

    def _make(self, some: Sequence[_Waiting]) -> None:
        try:
            for one, answer in zip(
                some, self._broker.apply([one.change for one in some]), strict=True
            ):
                one.answer = answer
        except Exception as error:
            if len(some) == 1 or isinstance(error, BrokerUnavailable):
                for one in some:
                    one.error = error
                return
            for one in some:  # one of them spoils the others: each by itself
                self._make([one])
        except BaseException as error:
            for one in some:
                one.error = BrokerUnavailable(f"the thread that made the change left: {error!r}")
            raise


_of: WeakKeyDictionary[Broker, Checkpointer] = WeakKeyDictionary()
_lock = threading.Lock()


def checkpointer_of(broker: Broker) -> Checkpointer:
    """The one of a broker."""
    found = _of.get(broker)
    if found is None:
        with _lock:
            found = _of.setdefault(broker, Checkpointer(broker))
    return found
