"""The broker verbs that look and repair, and what makes a dead letter."""

import json
from collections.abc import Collection, Sequence

from taskflow.broker import QueueCounts
from taskflow.brokers.stored.declare import find_queue
from taskflow.brokers.stored.waiters import Waiters
from taskflow.clock import Clock
from taskflow.errors import LimitExceeded
from taskflow.message import FAILURE, Delivery
from taskflow.stores.base import QueueRow, Row, Rows, Store
from taskflow.stores.sqlite.extra import read_attributes, read_extra


class Operations:
    """A part of EmbeddedBroker; `taskflow.broker.Broker` is the contract."""

    clock: Clock
    _store: Store
    _waiters: Waiters

    def counts(self, queue: str) -> QueueCounts:
        now = self.clock.now()
        with self._store.read() as rows:
            row = find_queue(rows, queue)
            visible, in_flight, delayed, oldest, handled, dead, expired = rows.counts(
                row.id, now, now - row.settings.retention
            )
        age = 0.0 if oldest is None else max(0.0, now - oldest)
        return QueueCounts(visible, in_flight, delayed, age, handled, dead, row.paused, expired)

    def next_due(self, *queues: str) -> float | None:
        now = self.clock.now()
        with self._store.read() as rows:
            found = [find_queue(rows, name) for name in queues]
            times = [rows.next_due(queue, now) for queue in found if not queue.paused]
        return min((time for time in times if time is not None), default=None)

    def peek(self, queue: str, limit: int = 100, ids: Collection[str] = ()) -> list[Delivery]:
        now = self.clock.now()
        with self._store.read() as rows:
            row = find_queue(rows, queue)
            found = rows.select(row.id, ids, limit)
            return [
                delivery(rows, one, row, one.receive_count, one.first_received_at or 0.0)
                for one in found
                if one.sent_at + row.settings.retention > now
            ]

    def redrive(self, queue: str, ids: Collection[str] = (), limit: int = 1000) -> int:
        woken: set[str] = set()
        moved = 0
        with self._store.write() as rows:
            now = self.clock.now()
            row = find_queue(rows, queue)
            for letter in rows.select(row.id, ids, limit):
                if letter.sent_at + row.settings.retention <= now:
                    rows.drop(row.id, [letter.seq])
                    continue
                home = rows.queue_of(letter.source) if letter.source is not None else None
                if home is None:
                    continue
                rows.move(row.id, anew(letter, now), home, None, now)
                woken |= {home.name, queue} if row.fifo else {home.name}
                moved += 1
        self._waiters.announce(woken)
        self._store.sync()
        return moved

    def purge(self, queue: str, ids: Collection[str] = (), limit: int = 10000) -> int:
        with self._store.write() as rows:
            row = find_queue(rows, queue)
            chosen = [found.seq for found in rows.select(row.id, ids, limit)]
            rows.drop(row.id, chosen)
        if row.fifo:  # they may have kept back the rest of their groups
            self._waiters.announce([queue])
        return len(chosen)

    def purged(self, queue: str) -> None:
        with self._store.write() as rows:
            rows.purged(find_queue(rows, queue).id, self.clock.now())


def delivery(
    rows: Rows,
    row: Row,
    queue: QueueRow,
    receive_count: int,
    first_received_at: float,
    receipt: str = "",
    until: float | None = None,
) -> Delivery:
    """A row as it is handed out."""
    made = Delivery(
        row.id,
        row.topic,
        row.body,
        read_attributes(row.attributes),
        queue.name,
        receipt,
        receive_count,
        row.sent_at,
        first_received_at,
        row.visible_at if until is None else until,
        False,
        row.seq,
    )
    if row.extra is not None:
        extra = read_extra(row.extra)
        made.group, made.deduplication_id = extra.group, extra.deduplication_id
        made.trace, made.sender, made.subject = extra.trace, extra.sender, extra.subject
        made.received_before = extra.received
    if row.source is not None and (source := rows.queue_of(row.source)):
        made.source = source.name
    return made


def anew(letter: Row, now: float) -> Row:
    """A dead letter as it goes back: without its failure record, sent now."""
    attributes = json.loads(letter.attributes)
    attributes.pop(FAILURE, None)
    return letter._replace(attributes=json.dumps(attributes), sent_at=now)


def bury(rows: Rows, queue: QueueRow, failed: Sequence[tuple[Row, str]], now: float) -> set[str]:
    """Move rows into the DLQ, each with its failure record; answers the queues to ring: the DLQ,
    and a FIFO queue whose groups a row may have kept back."""
    target = queue.settings.dead_letter_queue
    if target is None:
        raise LimitExceeded(f"queue {queue.name!r} has no dead-letter queue")
    to = find_queue(rows, target)
    for row, failure in failed:
        attributes = json.loads(row.attributes) | {FAILURE: failure}
        letter = row._replace(attributes=json.dumps(attributes))
        rows.move(queue.id, letter, to, queue.id, now)
    rows.expire(to.id, now - to.settings.retention)
    rows.tally(queue.id, 0, len(failed))
    return {target, queue.name} if queue.fifo else {target}


def worn_out(queue: QueueRow, row: Row, now: float) -> str:
    """The failure record of a message that its queue's redrive policy buries."""
    return json.dumps(
        {
            "reason": f"received {row.receive_count} times and never finished: "
            "its worker was killed or lost its lease each time",
            "queue": queue.name,
            "topic": row.topic,
            "attempts": row.receive_count,
            "sent_at": row.sent_at,
            "first_received_at": row.first_received_at,
            "failed_at": now,
        }
    )
