"""SharedState: what workers share; AWS has no place for it: a process shares with itself."""

import threading
from collections.abc import Mapping
from dataclasses import replace

from taskflow.broker.settings import WorkerReport
from taskflow.brokers.aws.directory import Directory
from taskflow.brokers.aws.polls import Polls
from taskflow.clock import Clock
from taskflow.coordination.buckets import Bucket, tokens_in


class SharedState:
    """Thread-safe. The contract of its verbs stands in `taskflow.broker.Broker`; but pauses, rates,
    reports and the identity are forgotten with the process, and no other process sees them."""

    def __init__(self, clock: Clock, directory: Directory, polls: Polls) -> None:
        self._clock = clock
        self._directory = directory
        self._polls = polls
        self._lock = threading.Lock()
        self._buckets: dict[str, Bucket] = {}
        self._reports: dict[str, WorkerReport] = {}
        self._identity: dict[str, str] = {}

    def pause(self, queue: str, paused: bool = True) -> None:
        self._directory.url(queue)
        self._polls.pause(queue, paused)

    def allowance(self, name: str, per_second: float) -> float:
        now = self._clock.now()
        with self._lock:
            tokens = self._tokens(name, per_second)
            if name in self._buckets and self._buckets[name][1] > now:  # the clock was set back
                self._buckets[name] = tokens, now
            return tokens

    def spend(self, name: str, per_second: float, tokens: float) -> None:
        with self._lock:
            self._buckets[name] = self._tokens(name, per_second) - tokens, self._clock.now()

    def _tokens(self, name: str, per_second: float) -> float:
        return tokens_in(self._buckets.get(name), per_second, self._clock.now())

    def report(self, worker: WorkerReport) -> None:
        with self._lock:
            self._reports[worker.id] = replace(worker, seen_at=self._clock.now())

    def retire(self, worker_id: str) -> None:
        with self._lock:
            self._reports.pop(worker_id, None)

    def workers(self, within: float = 30.0) -> list[WorkerReport]:
        now = self._clock.now()
        with self._lock:
            for id, report in list(self._reports.items()):
                if report.seen_at < now - 10 * within:
                    del self._reports[id]
            return [
                report
                for _, report in sorted(self._reports.items())
                if report.seen_at >= now - within
            ]

    def identity(self) -> dict[str, str]:
        return dict(self._identity)

    def set_identity(self, values: Mapping[str, str]) -> None:
        self._identity.update(values)
