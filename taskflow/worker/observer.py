"""Whoever wants to be told what a worker does with each message: the calls, and several as one."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from taskflow.worker.job import Job

log = logging.getLogger("taskflow.worker")

Calls = tuple[Callable[..., None], ...]


class Observer:
    """Derive from it, and write the calls that you want: `Worker(broker, observers=[Mine()])`.

    A call comes at the transition itself, from the thread that makes it, one at a time, in order,
    while the worker's other threads wait: so it needs no lock of its own, must be quick, and must
    not call the worker or the pool. A job is to be read, not changed. What a call raises is logged
    once, and harms nothing.
    """

    def worker_started(self) -> None:
        """A pool begins."""

    def worker_stopping(self) -> None:
        """It was told to stop: nothing more is received. Once."""

    def worker_stopped(self) -> None:
        """It has ended: every message is settled or given back, unless the broker failed."""

    def received(self, job: Job) -> None:
        """A message is held from now on, and its lease is extended while it is."""

    def left(self, job: Job) -> None:
        """The same event runs elsewhere from another receipt: it is left to that one."""

    def started(self, job: Job) -> None:
        """A thread begins with it; this one, when it is a pool's."""

    def ended(self, job: Job, seconds: float) -> None:
        """`job.outcome` says how, after so many seconds; the broker is not told yet. Of a run that
        was given up because it ignores its time limit, too."""

    def extended(self, job: Job) -> None:
        """Its lease lasts longer: until `job.delivery.visible_at`."""

    def lost(self, job: Job) -> None:
        """Its lease is lost: somebody else may have the message. `job.state` is where it stands:
        what runs goes on, what has not started never will. Once."""

    def settled(self, job: Job) -> None:
        """The broker knows its outcome. The last call of a job."""

    def given_back(self, job: Job) -> None:
        """Others may have it at once, and no attempt is counted. The last call of a job."""

    def postponed(self, job: Job, error: Exception) -> None:
        """The broker cannot be used, and is told again in a while."""

    def refused(self, job: Job, error: Exception | None) -> None:
        """The broker will not be told what became of it: the lease was lost (no error), or it
        refuses for good; then the message comes back when its lease ends. The last call."""


class Observers:
    """Several observers as one. Each attribute holds the calls of those that want it, so that a
    transition which nobody wants costs a look at an empty tuple."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._observers = observers
        self._complained: set[int] = set()
        self.worker_started = self._of("worker_started")
        self.worker_stopping = self._of("worker_stopping")
        self.worker_stopped = self._of("worker_stopped")
        self.received = self._of("received")
        self.left = self._of("left")
        self.started = self._of("started")
        self.ended = self._of("ended")
        self.extended = self._of("extended")
        self.lost = self._of("lost")
        self.settled = self._of("settled")
        self.given_back = self._of("given_back")
        self.postponed = self._of("postponed")
        self.refused = self._of("refused")

    def _of(self, name: str) -> Calls:
        inherited = getattr(Observer, name)
        return tuple(
            self._guarded(one, getattr(one, name))
            for one in self._observers
            if getattr(type(one), name, None) is not inherited
        )

    def _guarded(self, observer: Observer, call: Callable[..., None]) -> Callable[..., None]:
        def guarded(*given: Any) -> None:
            try:
                call(*given)
            except KeyboardInterrupt:  # the user's, where a worker steps in the main thread
                raise
            except BaseException:
                if id(observer) not in self._complained:
                    self._complained.add(id(observer))
                    log.exception("an observer failed, which is said once: %r", type(observer))

        return guarded
