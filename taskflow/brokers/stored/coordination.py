"""The broker verbs by which workers know of each other: finished events, rates, leases, reports."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import msgspec

from taskflow.broker import WorkerReport
from taskflow.broker.settings import Claim
from taskflow.brokers.stored.core import Core
from taskflow.brokers.stored.lookup import find_queue
from taskflow.buckets import tokens_in
from taskflow.errors import KeyTaken
from taskflow.message import Delivery
from taskflow.stores.rows import Rows

_read_report = msgspec.json.Decoder(WorkerReport).decode
_REPORTS_KEPT = 10  # times as long as anybody asks for


class Coordinator:
    """What the workers of one store share. Thread-safe."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def claim(self, deliveries: Sequence[Delivery]) -> list[Claim]:
        """A queue holds an event once and lends it to one receipt, so none runs twice at a time."""
        seen, now = self._core.unfinished, self._core.now()
        by_queue: dict[str, set[tuple[str, str]]] = {}
        for one in deliveries:
            if seen.get((one.queue, one.receipt), 0.0) <= now:  # as `is_unfinished`, by one time
                by_queue.setdefault(one.queue, set()).add((one.id, one.topic))
        known = {queue: self.finished(queue, keys) for queue, keys in by_queue.items()}
        return [
            "finished" if (one.id, one.topic) in known.get(one.queue, ()) else "free"
            for one in deliveries
        ]

    def is_unfinished(self, delivery: Delivery) -> bool:
        """Whether it was asked when the message was lent, and its lease is not over."""
        core = self._core
        return core.unfinished.get((delivery.queue, delivery.receipt), 0.0) > core.now()

    def finished(self, queue: str, keys: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which events the queue remembers."""
        return self._core.store.look(
            lambda rows: rows.remembered(find_queue(rows, queue).id, keys, self._core.now()),
            kept=True,
        )

    def take(self, name: str, per_second: float, tokens: float = 0.0) -> float:
        """Take tokens from a bucket; answers what it holds after that."""

        def look(rows: Rows) -> tuple[float, float] | None:
            return rows.bucket(name)

        def take(rows: Rows) -> float:
            return rows.draw(name, per_second, tokens, self._core.now())

        if not tokens:  # a look costs no lock
            found, now = self._core.store.look(look), self._core.now()
            if found is None or found[1] <= now:
                return tokens_in(found, per_second, now)
        return self._core.store.transact(take)  # if the clock was set back: fill up from here on

    def hold(self, name: str, holder: str, seconds: float) -> bool:
        """Be the one of many, for so long."""

        def hold(rows: Rows) -> bool:
            now = self._core.now()
            try:
                rows.records.take(name, holder, now + seconds, now)
            except KeyTaken:
                return False
            return True

        return self._core.store.transact(hold)

    def report(self, worker: WorkerReport) -> None:
        """Remember what a worker says of itself."""

        def put(rows: Rows) -> None:
            now = self._core.now()
            report = msgspec.json.encode(replace(worker, seen_at=now)).decode()
            rows.put_worker(worker.id, now, report)

        self._core.store.transact(put)

    def retire(self, worker_id: str) -> None:
        """Forget a worker."""
        self._core.store.transact(lambda rows: rows.drop_worker(worker_id))

    def workers(self, within: float = 30.0) -> list[WorkerReport]:
        """The workers that reported lately."""
        now = self._core.now()
        found = self._core.store.look(lambda rows: rows.workers())
        old = [id for id, seen_at, _ in found if seen_at < now - _REPORTS_KEPT * within]

        def drop(rows: Rows) -> None:
            for id in old:
                rows.drop_worker(id)

        if old:
            self._core.store.transact(drop)
        return [_read_report(text) for _, seen_at, text in found if seen_at >= now - within]

    def hurry(self) -> None:
        """Wait a second at most for a lock of another process, from now on."""
        self._core.store.hurry()
