"""Running a pool in a test: in a thread, on a ManualClock, watched by an observer."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from taskflow import Pool, Registry, Worker
from taskflow.broker import Broker
from taskflow.retry import Retry
from taskflow.testing import ManualClock
from taskflow.worker.job import Job
from taskflow.worker.observer import Observer

WAIT = 10.0  # real seconds until a test gives up on another thread
INSIDE = 0.02  # real seconds that a handler may need between two turns of the clock
WAKING = 0.005  # and a thread that was notified, and waits for the processor
UPKEEP_AND_RUN = 2  # threads of a pool beside those that run handlers


class Watch(Observer):
    """Counts the transitions of a pool's messages, and turns the clock until some have happened.

    `done` counts what was acknowledged or dead-lettered; `given` holds the ids of what was given
    back, in order. `ticks`: the pool has a thread for what is due by itself.
    """

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.pool: Pool | None = None
        self.ticks = False
        self.counts: Counter[str] = Counter()
        self.given: list[str] = []
        self._wanted: list[tuple[str, int, threading.Event]] = []

    def after(self, transition: str, count: int = 1) -> threading.Event:
        """Set when it has happened so often, from now on."""
        event = threading.Event()
        self._wanted.append((transition, self.counts[transition] + count, event))
        return event

    def done(self, count: int) -> threading.Event:
        """Set when so many were acknowledged or dead-lettered, from now on."""
        return self.after("done", count)

    def _note(self, transition: str) -> None:
        self.counts[transition] += 1
        for name, count, event in self._wanted:
            if name == transition and self.counts[name] >= count:
                event.set()
        self.clock.nudge()

    def worker_stopped(self) -> None:
        self._note("stopped")

    def started(self, job: Job) -> None:
        self._note("started")

    def ended(self, job: Job, seconds: float) -> None:
        self._note("ended")

    def extended(self, job: Job) -> None:
        self._note("extended")

    def lost(self, job: Job) -> None:
        self._note("lost")

    def settled(self, job: Job) -> None:
        self._note("settled")
        if not isinstance(job.outcome, Retry):
            self._note("done")

    def given_back(self, job: Job) -> None:
        self.given.append(job.delivery.id)
        self._note("given back")

    def until(self, event: threading.Event, step: float = 1.0, steps: int = 1000) -> None:
        """Turn the clock until the event is set: a step each time that all threads of the pool wait
        for one, or one is inside a handler for a while."""
        for _ in range(steps):
            if self.pool is not None and not self._inside():
                self.clock.wait_until(lambda parked: event.is_set() or self._is_idle(parked), WAIT)
            pause = INSIDE if self.pool is None or self._inside() else WAKING
            if self.clock.wait_until(lambda parked: event.is_set(), pause):
                return
            self.clock.advance(step)
        raise AssertionError("did not happen")

    def until_true(self, is_so: Callable[[], bool], step: float = 1.0, steps: int = 1000) -> None:
        """As `until`, for what no transition tells."""
        for _ in range(steps):
            if self.pool is not None and not self._inside():
                self.clock.wait_until(self._is_idle, WAIT)
            else:
                self.clock.wait_until(lambda parked: False, INSIDE)
            if is_so():
                return
            self.clock.advance(step)
        raise AssertionError("did not become so")

    def _inside(self) -> int:
        return self.counts["started"] - self.counts["ended"]

    def _is_idle(self, parked: int) -> bool:
        if self.pool is None or self._inside():
            return True
        return parked >= self.pool.threads + UPKEEP_AND_RUN + self.ticks


@contextmanager
def running(
    broker: Broker,
    registry: Registry,
    watch: Watch,
    concurrency: int = 4,
    grace: float = 30.0,
) -> Iterator[Pool]:
    """A pool that works in a thread, until the block ends."""
    worker = Worker(broker, registry=registry, observers=[watch])
    watch.ticks = bool(registry.tenders) and broker.features.runs
    pool = watch.pool = Pool(worker, concurrency=concurrency, grace=grace)
    thread = threading.Thread(target=pool.run)
    thread.start()
    try:
        yield pool
    finally:
        pool.stop_now()
        thread.join(WAIT)
        assert not thread.is_alive()
