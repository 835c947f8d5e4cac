"""The broker verbs by which messages are handed over to another broker, batch by batch."""

from collections.abc import Collection, Sequence
from typing import Literal

import msgspec

from taskflow.broker.change import Put, Remove
from taskflow.broker.handover import HANDOVER, START, Batch, Finished, Handed, Known, Lot, Place
from taskflow.broker.record import RecordQuery
from taskflow.broker.tree_handover import TREES
from taskflow.brokers.stored.core import Core
from taskflow.brokers.stored.handed_rows import before_of, handed, in_flight
from taskflow.brokers.stored.leaving_batch import LeavingBatch, find_batch, read_batch
from taskflow.brokers.stored.lookup import find_queue, find_topic
from taskflow.brokers.stored.receipts import new_lease
from taskflow.brokers.stored.taken_batches import note_taken, numbers_of, store, taken_name
from taskflow.errors import ConfigError
from taskflow.stores.message_columns import read_extra
from taskflow.stores.row import SPOKEN, QueueRow, Row
from taskflow.stores.rows import Rows

HIDDEN_FOR = 3600.0  # seconds until what was handed out may be received here again
_VERSION_BITS = 31


class HandingOver:
    """As `broker.handover.Handover`. Thread-safe."""

    def __init__(self, core: Core) -> None:
        self._core = core

    # ---- messages -----------------------------------------------------------------------------
    def batches(self) -> list[Batch]:
        """Those on their way, oldest first."""
        query = RecordQuery(kind=HANDOVER, order="oldest", limit=1000)
        found = self._core.store.look(
            lambda rows: rows.records.select(query, None, self._core.now())
        )
        noted = [(record.key, read_batch(record.value)) for _, record in found]
        return [Batch(key, one.queue, one.to) for key, one in noted]

    def hand_out(self, batch: str, queue: str, to: str, limit: int, place: Place = START) -> Lot:
        """Hide messages and note them as a batch."""

        def work(rows: Rows) -> Lot:
            now = self._core.now()
            rows.records.lock([f"record/{HANDOVER}/{batch}"])
            row = find_queue(rows, queue)
            found, last = rows.handover.page(row, place.after, limit, now)
            chosen, lot = _choose(row, found, place.groups, now)
            if chosen:
                receipt = new_lease(now, self._core.random.getrandbits(17))
                seqs = [one.seq for one in chosen]
                # Said by its holder: who receives it here after all has no suspect.
                rows.handover.hide(row.id, seqs, receipt | SPOKEN, now + HIDDEN_FOR)
                before = [before_of(one) for one in chosen]
                value = msgspec.json.encode(LeavingBatch(queue, to, receipt, before)).decode()
                fresh = self._core.random.getrandbits(_VERSION_BITS) << 20 | 1
                rows.records.put(Put(kind=HANDOVER, key=batch, value=value, expected=0), fresh, now)
            messages = [handed(rows, one, before_of(one)) for one in chosen]
            groups = lot.place.groups if lot.place else place.groups
            return lot._replace(
                messages=messages, place=None if last is None else Place(last, groups)
            )

        return self._core.store.transact(work, durable=True)

    def hand_again(self, batch: str) -> list[Handed]:
        """The messages of a batch that are still there."""

        def work(rows: Rows) -> list[Handed]:
            noted = self._noted(rows, batch)
            queue = None if noted is None else rows.queue(noted.queue)
            if noted is None or queue is None:
                return []
            found = rows.find(queue.id, noted.held)
            return [
                handed(rows, row, before)
                for row, before in zip(found, noted.rows, strict=True)
                if row is not None
            ]

        return self._core.store.transact(work)

    def take_in(self, batch: str, queue: str, messages: Sequence[Handed]) -> list[int]:
        """Store messages of another broker, once."""
        name = taken_name(batch)

        def work(rows: Rows) -> list[int]:
            now = self._core.now()
            rows.records.lock([f"change/{name}"])
            answer = rows.records.applied(name, now)
            if answer is not None:
                return numbers_of(answer)
            store(rows, queue, messages, now)
            note_taken(rows, name, messages, now)
            return [one.number for one in messages]

        return self._core.store.transact(
            work, durable=True, committed=lambda _: self._core.waiters.announce([queue])
        )

    def let_go(self, batch: str, numbers: Collection[int]) -> None:
        """Remove messages that another broker has, and the batch."""

        def work(rows: Rows) -> str | None:
            rows.records.lock([f"record/{HANDOVER}/{batch}"])
            noted = self._noted(rows, batch)
            if noted is None:
                return None
            if (queue := rows.queue(noted.queue)) is not None:
                own = {one.number for one in noted.rows}  # a number may be another's by now
                rows.drop(queue.id, own.intersection(numbers))
            rows.records.remove(Remove(kind=HANDOVER, key=batch), self._core.now())
            return noted.queue

        def announce(queue: str | None) -> None:
            if queue is not None:  # they may have kept others back
                self._core.waiters.announce([queue])

        self._core.store.transact(work, committed=announce)

    @staticmethod
    def _noted(rows: Rows, batch: str) -> LeavingBatch | None:
        found = find_batch(rows, batch)
        return None if found is None else read_batch(found.value)

    # ---- what is remembered -------------------------------------------------------------------
    def finished_after(self, queue: str, last: tuple[str, str], limit: int) -> list[Finished]:
        """A page of what a queue has finished."""

        def look(rows: Rows) -> list[Finished]:
            row = find_queue(rows, queue)
            found = rows.handover.finished(row.id, last, limit, self._core.now())
            return [Finished(*one) for one in found]

        return self._core.store.look(look)

    def remember_finished(self, queue: str, events: Sequence[Finished]) -> None:
        """Have a queue remember events as finished."""

        def work(rows: Rows) -> None:
            rows.handover.remember(find_queue(rows, queue).id, events)

        if events:
            self._core.store.transact(work, durable=True)

    def known_after(
        self, kind: Literal["queue", "topic"], name: str, last: tuple[str, str], limit: int
    ) -> list[Known]:
        """A page of what it deduplicates by."""

        def look(rows: Rows) -> list[Known]:
            owner = _owner(rows, kind, name)
            place = (owner + last[0], last[1])
            found = rows.handover.deduplications(owner, place, limit, self._core.now())
            return [Known(one[0].removeprefix(owner), *one[1:]) for one in found]

        return self._core.store.look(look)

    def remember_known(
        self, kind: Literal["queue", "topic"], name: str, known: Sequence[Known]
    ) -> None:
        """Have it deduplicate by these too."""

        def work(rows: Rows) -> None:
            owner = _owner(rows, kind, name)
            entries = [(owner + one.group, *one[1:]) for one in known]
            rows.handover.deduplicate(entries, self._core.now())

        if known:
            self._core.store.transact(work, durable=True)


def check_none_leaves(rows: Rows, now: float) -> None:
    """Raises ConfigError while messages of this file are on their way to another broker. Batches
    that nobody ended within an hour are forgotten: their messages are received here again. (Trees
    of records are never: they may be at the other broker.)"""
    if rows.records.select(RecordQuery(kind=TREES, limit=1), None, now):
        raise ConfigError("its runs are being moved to another broker: end `taskflow copy` first")
    while page := rows.records.select(RecordQuery(kind=HANDOVER, limit=1000), None, now):
        for _, record in page:
            if record.created_at > now - HIDDEN_FOR:
                raise ConfigError(
                    "its messages are being moved to another broker: end `taskflow copy` first, or "
                    "wait an hour"
                )
            rows.records.remove(Remove(kind=HANDOVER, key=record.key), now)


def _owner(rows: Rows, kind: Literal["queue", "topic"], name: str) -> str:
    if kind == "queue":
        return f"queue:{find_queue(rows, name).id}"
    return f"topic:{find_topic(rows, name).name}"


def _choose(
    queue: QueueRow, found: Sequence[Row], groups: frozenset[str], now: float
) -> tuple[list[Row], Lot]:
    """Which rows may go, and what becomes of the others: the groups of a FIFO queue that stay."""
    kept_from = now - queue.settings.retention
    chosen, staying, hidden, of_runs = [], set(groups), 0, 0
    for row in found:
        extra = read_extra(row.extra)
        if row.sent_at <= kept_from:
            continue
        held = in_flight(row, now)
        if held or extra.run is not None or (queue.fifo and extra.group in staying):
            of_run = extra.run is not None and not held
            of_runs += of_run
            hidden += not of_run
            if queue.fifo and extra.group is not None:
                staying.add(extra.group)
        else:
            chosen.append(row)
    return chosen, Lot([], Place(-1, frozenset(staying)), hidden, of_runs)
