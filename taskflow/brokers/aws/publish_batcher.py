"""Gathers what several threads send at the same time into one request, each with its own result."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from taskflow import forking
from taskflow.brokers.aws.request_batches import MAX_ENTRIES, Sized
from taskflow.clock import Clock
from taskflow.errors import BrokerUnavailable

LINGER = 0.003  # seconds to wait for others, once there have been others

S = TypeVar("S", bound=Sized)
R = TypeVar("R")


@dataclass(slots=True, eq=False)
class _Waiting(Generic[S, R]):
    item: S
    result: R | None = None
    error: BaseException | None = None
    settled: bool = False


@dataclass(slots=True)
class _Line(Generic[S, R]):
    """What waits for one destination."""

    pending: list[_Waiting[S, R]] = field(default_factory=list)
    gathering: bool = False
    sending: int = 0
    crowded: bool = False


class PublishBatcher(Generic[S, R]):
    """Thread-safe. `send(key, items)` answers a result or an error for each item; it is called in
    one of the threads that wait.

    A lone caller goes at once. Who comes while a request is on its way waits for its end, or until
    there are ten; after that the first of them waits LINGER seconds for more.
    """

    def __init__(
        self,
        clock: Clock,
        most: int,
        send: Callable[[str, Sequence[S]], Sequence[R | BaseException]],
    ) -> None:
        self._clock = clock
        self._most = most
        self._send = send
        self._lines: dict[str, _Line[S, R]]
        self._changed: threading.Condition
        forking.anew(self, _lines=dict, _changed=threading.Condition)

    def submit(self, key: str, item: S) -> R:
        """Send one item to `key`, with what others send there now. Raises what `send` says."""
        mine: _Waiting[S, R] = _Waiting(item)
        with self._changed:
            line = self._lines.setdefault(key, _Line())
            line.pending.append(mine)
            self._changed.notify_all()
        try:
            while True:
                with self._changed:
                    batch = self._lead(line, mine)
                if not batch:
                    break
                self._deliver(key, line, batch)
        except BaseException:  # Ctrl-C: nobody is left to send it for
            with self._changed:
                if mine in line.pending:
                    line.pending.remove(mine)
                self._changed.notify_all()
            raise
        if mine.error is not None:
            raise mine.error
        return mine.result  # type: ignore[return-value]  # settled: a result or an error

    def _lead(self, line: _Line[S, R], mine: _Waiting[S, R]) -> list[_Waiting[S, R]]:
        """A batch to send, or nothing once `mine` is settled. The lock is held."""
        while not mine.settled:
            if mine in line.pending and not line.gathering and self._may_go(line):
                return self._gather(line)
            self._clock.wait(self._changed, None)
        return []

    def _may_go(self, line: _Line[S, R]) -> bool:
        return not line.sending or self._full(line)

    def _full(self, line: _Line[S, R]) -> bool:
        return (
            len(line.pending) >= MAX_ENTRIES
            or sum(one.item.size for one in line.pending) >= self._most
        )

    def _gather(self, line: _Line[S, R]) -> list[_Waiting[S, R]]:
        if line.crowded:
            line.gathering = True
            until = self._clock.now() + LINGER
            try:
                while not self._full(line) and (left := until - self._clock.now()) > 0:
                    self._clock.wait(self._changed, left)
            finally:
                line.gathering = False
        batch: list[_Waiting[S, R]] = []
        total = 0
        for one in line.pending[:MAX_ENTRIES]:
            if batch and total + one.item.size > self._most:
                break
            batch.append(one)
            total += one.item.size
        del line.pending[: len(batch)]
        line.sending += 1
        line.crowded = False
        self._changed.notify_all()
        return batch

    def _deliver(self, key: str, line: _Line[S, R], batch: list[_Waiting[S, R]]) -> None:
        try:
            answers = self._send(key, [one.item for one in batch])
        except Exception as error:
            answers = [error] * len(batch)
        except BaseException:
            self._settle(key, line, batch, [_unknown()] * len(batch))
            raise
        self._settle(key, line, batch, answers)

    def _settle(
        self,
        key: str,
        line: _Line[S, R],
        batch: list[_Waiting[S, R]],
        answers: Sequence[R | BaseException],
    ) -> None:
        with self._changed:
            for one, answer in zip(batch, answers, strict=True):
                if isinstance(answer, BaseException):
                    one.error = answer
                else:
                    one.result = answer
                one.settled = True
            line.sending -= 1
            line.crowded = len(batch) + len(line.pending) > 1
            if not line.pending and not line.sending and not line.crowded:
                self._lines.pop(key, None)
            self._changed.notify_all()


def _unknown() -> BrokerUnavailable:
    return BrokerUnavailable(
        "the thread that sent it was interrupted: it may be stored; repeat it under the same id"
    )
