"""What workers share through a broker; AWS has no place for it, so a process shares with itself."""

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from taskflow.broker.settings import WorkerReport
from taskflow.brokers.aws.directory import Directory
from taskflow.brokers.aws.polls import Polls
from taskflow.clock import Clock
from taskflow.coordination.buckets import Bucket, tokens_in


class Sharing:
    """A part of AwsBroker; `taskflow.broker.Broker` is the contract. Pauses, rates, reports and
    the identity are forgotten with the process, and no other process sees them."""

    clock: Clock
    _directory: Directory
    _polls: Polls
    _lock: threading.Lock
    _buckets: dict[str, Bucket]
    _reports: dict[str, WorkerReport]
    _identity: dict[str, str]

    def pause(self, queue: str, paused: bool = True) -> None:
        self._directory.url(queue)
        self._polls.pause(queue, paused)

    def allowance(self, name: str, per_second: float) -> float:
        now = self.clock.now()
        with self._lock:
            tokens = self._tokens(name, per_second)
            if name in self._buckets and self._buckets[name][1] > now:  # the clock was set back
                self._buckets[name] = tokens, now
            return tokens

    def spend(self, name: str, per_second: float, tokens: float) -> None:
        with self._lock:
            self._buckets[name] = self._tokens(name, per_second) - tokens, self.clock.now()

    def _tokens(self, name: str, per_second: float) -> float:
        return tokens_in(self._buckets.get(name), per_second, self.clock.now())

    def report(self, worker: WorkerReport) -> None:
        with self._lock:
            self._reports[worker.id] = replace(worker, seen_at=self.clock.now())

    def retire(self, worker_id: str) -> None:
        with self._lock:
            self._reports.pop(worker_id, None)

    def hurry(self) -> None:
        """There is no lock to wait for."""

    def workers(self, within: float = 30.0) -> list[WorkerReport]:
        now = self.clock.now()
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

    def wake(self) -> None:
        self._polls.wake()

    def watch(self, heard: Callable[[Collection[str]], None]) -> None:
        """AWS tells nobody of a message that arrives, so `heard` is never called: who waits asks
        with a long poll."""
