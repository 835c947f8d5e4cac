"""How far a run is: said by the task, stored now and then, shown to who waits."""

import threading
from typing import Any, NamedTuple

import msgspec

from taskflow import forking
from taskflow.broker import Broker
from taskflow.broker.change import Change, Put
from taskflow.errors import BrokerError

PROGRESS = "progress"
"""The kind of the records."""
EVERY = 0.1  # seconds between two that are stored
KEPT = 86400.0  # seconds


class Step(NamedTuple):
    """`done` of `total` (None: nobody knows), and a few words."""

    done: float
    total: float | None
    note: str


class Progress(msgspec.Struct, eq=False):
    """Stores what a run says of itself; the last word goes with its end. Thread-safe.

    (A struct, since one is made for each run, and hardly any says something.)
    """

    _broker: Broker
    _run: str
    _lock: Any = msgspec.field(default_factory=threading.Lock)
    _pid: int = msgspec.field(default_factory=lambda: forking.pid)
    _stored_at: float | None = None
    _unsaid: Step | None = None

    def report(self, done: float, total: float | None, note: str) -> None:
        """Note it, and store it if the last time was long enough ago. (A broker that fails is no
        reason for a task to.)"""
        now = self._broker.clock.elapsed()
        if self._pid != forking.pid:  # a thread that is not in this fork may hold it
            self._lock, self._pid = threading.Lock(), forking.pid
        with self._lock:
            self._unsaid = Step(done, total, note)
            if self._stored_at is not None and now - self._stored_at < EVERY:
                return
            self._stored_at = now
        if (put := self.unsaid()) is not None:
            try:
                self._broker.apply([Change(records=[put])], durable=False)
            except BrokerError:
                return

    @property
    def said(self) -> bool:
        """Whether all that was said is stored."""
        return self._unsaid is None

    def unsaid(self) -> Put | None:
        """What was said last, if it is not stored: as a record."""
        if self._unsaid is None:
            return None
        with self._lock:
            step, self._unsaid = self._unsaid, None
        if step is None:
            return None
        return Put(
            kind=PROGRESS,
            key=self._run,
            value=msgspec.json.encode(step).decode(),
            expires_at=self._broker.clock.now() + KEPT,
            rings=True,
        )


def read_step(value: str) -> Step:
    """A step as it was stored."""
    return msgspec.json.decode(value, type=Step)
