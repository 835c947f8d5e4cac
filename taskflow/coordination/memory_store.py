"""MemoryStore: pauses, rates, leases and reports of this process alone."""

import threading
from collections.abc import Mapping

from taskflow import forking
from taskflow.broker.settings import WorkerReport
from taskflow.buckets import Bucket, drawn


class MemoryStore:
    """The contract is `coordination_store.CoordinationStore`. Forgotten with the process."""

    remote = False

    def __init__(self) -> None:
        self._lock: threading.Lock
        forking.anew(self, _lock=threading.Lock)
        self._paused: frozenset[str] = frozenset()
        self._buckets: dict[str, Bucket] = {}
        self._leases: dict[str, tuple[str, float]] = {}
        self._reports: dict[str, WorkerReport] = {}
        self._identity: dict[str, str] = {}

    def pause(self, queue: str, paused: bool) -> None:
        with self._lock:
            self._paused = self._paused | {queue} if paused else self._paused - {queue}

    def paused(self) -> frozenset[str]:
        return self._paused

    def take(self, name: str, per_second: float, tokens: float, now: float) -> float:
        with self._lock:
            bucket = drawn(self._buckets.get(name), per_second, tokens, now)
            self._buckets[name] = bucket
            return bucket[0]

    def hold(self, name: str, holder: str, seconds: float, now: float) -> bool:
        with self._lock:
            whose, until = self._leases.get(name, (holder, 0.0))
            if whose != holder and until > now:
                return False
            self._leases[name] = holder, now + seconds
            return True

    def report(self, worker: WorkerReport) -> None:
        with self._lock:
            self._reports[worker.id] = worker

    def retire(self, worker_id: str) -> None:
        with self._lock:
            self._reports.pop(worker_id, None)

    def workers(self, since: float, drop_before: float) -> list[WorkerReport]:
        with self._lock:
            for id, report in list(self._reports.items()):
                if report.seen_at < drop_before:
                    del self._reports[id]
            found = sorted(self._reports.items())
        return [report for _, report in found if report.seen_at >= since]

    def identity(self) -> dict[str, str]:
        with self._lock:
            return dict(self._identity)

    def set_identity(self, values: Mapping[str, str]) -> None:
        with self._lock:
            self._identity.update(values)

    def close(self) -> None:
        """There is nothing open."""
