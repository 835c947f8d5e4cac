"""SharedState: the verbs by which workers know of each other, over a coordination store."""

from dataclasses import replace

from taskflow.broker.settings import WorkerReport
from taskflow.brokers.aws.directory import Directory
from taskflow.brokers.aws.pauses import Pauses
from taskflow.brokers.aws.polls import Polls
from taskflow.clock import Clock
from taskflow.coordination.coordination_store import CoordinationStore

LISTED = 10
"""Reports are dropped for good after so many times the seconds that were asked for."""


class SharedState:
    """Thread-safe. The contract of its verbs stands in `taskflow.broker.Broker`. Who shares is who
    has the same store: the process alone with `MemoryStore`."""

    def __init__(
        self,
        clock: Clock,
        directory: Directory,
        polls: Polls,
        pauses: Pauses,
        store: CoordinationStore,
    ) -> None:
        self._clock = clock
        self._directory = directory
        self._polls = polls
        self._pauses = pauses
        self._store = store
        self.identity = store.identity
        self.set_identity = store.set_identity
        self.retire = store.retire

    def pause(self, queue: str, paused: bool = True) -> None:
        """Workers elsewhere see it within `pauses.SEEN` seconds."""
        self._directory.url(queue)
        self._pauses.change(queue, paused)
        self._polls.wake()

    def take(self, name: str, per_second: float, tokens: float = 0.0) -> float:
        """Take tokens from a bucket, which may go below 0; answers what it holds now. Atomic."""
        return self._store.take(name, per_second, tokens, self._clock.now())

    def hold(self, name: str, holder: str, seconds: float) -> bool:
        """Take or prolong the lease `name`; whether it is this holder's now."""
        return self._store.hold(name, holder, seconds, self._clock.now())

    def report(self, worker: WorkerReport) -> None:
        self._store.report(replace(worker, seen_at=self._clock.now()))

    def workers(self, within: float = 30.0) -> list[WorkerReport]:
        now = self._clock.now()
        return self._store.workers(now - within, now - LISTED * within)
