"""The broker verbs by which workers know of each other: finished events, pauses, rates, reports."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import msgspec

from taskflow.broker import WorkerReport
from taskflow.broker.settings import Claim
from taskflow.brokers.stored.declare import find_queue
from taskflow.brokers.stored.waiters import Waiters
from taskflow.clock import Clock
from taskflow.coordination.buckets import tokens_in
from taskflow.message import Delivery
from taskflow.stores.base import Rows, Store

_read_report = msgspec.json.Decoder(WorkerReport).decode


class Sharing:
    """A part of EmbeddedBroker; `taskflow.broker.Broker` is the contract."""

    clock: Clock
    _store: Store
    _waiters: Waiters

    def claim(self, deliveries: Sequence[Delivery]) -> list[Claim]:
        """A queue holds an event once and lends it to one receipt, so none runs twice at a time."""
        by_queue: dict[str, set[tuple[str, str]]] = {}
        for one in deliveries:
            by_queue.setdefault(one.queue, set()).add((one.id, one.topic))
        known = {queue: self.finished(queue, keys) for queue, keys in by_queue.items()}
        return [
            "finished" if (one.id, one.topic) in known[one.queue] else "free" for one in deliveries
        ]

    def finished(self, queue: str, keys: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        with self._store.read() as rows:
            return rows.remembered(find_queue(rows, queue).id, keys, self.clock.now())

    def pause(self, queue: str, paused: bool = True) -> None:
        with self._store.write() as rows:
            find_queue(rows, queue)
            rows.pause_queue(queue, paused)
        self._waiters.announce([queue])
        self._store.sync()

    def allowance(self, name: str, per_second: float) -> float:
        now = self.clock.now()
        with self._store.read() as rows:
            tokens, found = self._tokens(rows, name, per_second), rows.bucket(name)
        if found is not None and found[1] > now:  # the clock was set back: fill up from here on
            with self._store.write() as rows:
                rows.put_bucket(name, tokens, now)
        return tokens

    def spend(self, name: str, per_second: float, tokens: float) -> None:
        with self._store.write() as rows:
            left = self._tokens(rows, name, per_second) - tokens
            rows.put_bucket(name, left, self.clock.now())

    def _tokens(self, rows: Rows, name: str, per_second: float) -> float:
        return tokens_in(rows.bucket(name), per_second, self.clock.now())

    def identity(self) -> dict[str, str]:
        with self._store.read() as rows:
            return rows.identity()

    def set_identity(self, values: Mapping[str, str]) -> None:
        with self._store.write() as rows:
            rows.put_identity(values)
        self._store.sync()

    def report(self, worker: WorkerReport) -> None:
        now = self.clock.now()
        with self._store.write() as rows:
            rows.put_worker(
                worker.id, now, msgspec.json.encode(replace(worker, seen_at=now)).decode()
            )

    def retire(self, worker_id: str) -> None:
        with self._store.write() as rows:
            rows.drop_worker(worker_id)

    def hurry(self) -> None:
        self._store.hurry()

    def workers(self, within: float = 30.0) -> list[WorkerReport]:
        now = self.clock.now()
        with self._store.read() as rows:
            found = rows.workers()
        if old := [id for id, seen_at, _ in found if seen_at < now - 10 * within]:
            with self._store.write() as rows:
                for id in old:
                    rows.drop_worker(id)
        return [_read_report(text) for _, seen_at, text in found if seen_at >= now - within]
