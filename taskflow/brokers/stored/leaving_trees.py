"""Trees of records are taken out of a store, each whole and as it was seen, or left as it is."""

from collections.abc import Sequence
from typing import NamedTuple

from taskflow.broker.record import Record, RecordQuery
from taskflow.broker.tree_handover import Asked, HeldKey, QueuedMessage, Tree
from taskflow.brokers.stored.handed_rows import before_of, handed, in_flight
from taskflow.brokers.stored.record_pages import check_page, make_page
from taskflow.stores.message_columns import read_extra
from taskflow.stores.row import QueueRow, Row
from taskflow.stores.rows import Rows

PAGE = 1000


class _Waiting(NamedTuple):
    """A message of a tree, and whether it is the caller's until the transaction ends."""

    row: Row
    had: bool


class LeavingTrees:
    """Those of one batch: what they are asked for is read together. The names of all that is asked
    for are the caller's.

    Messages are had first: whoever keeps something of a tree by the receipt of one, having no other
    part of it in hand, is waited for or comes too late."""

    def __init__(self, rows: Rows, asked: Sequence[Asked], now: float) -> None:
        self._rows, self._now = rows, now
        self._asked = asked
        self._queues: dict[str, QueueRow] = {}
        self._messages = self._find_messages()
        self._records = self._find_records()
        self._keys = rows.handover.holdings([key for one in asked for key, _ in one.keys], now)
        self._leaving: dict[tuple[str, str], int] = {}
        """How many messages of each group leave."""

    def take_out(self) -> list[Tree]:
        """Remove those that may leave, and answer them."""
        found = [tree for one in self._asked if (tree := self._tree(one)) is not None]
        seqs: dict[str, list[int]] = {}
        for tree in found:
            for queue, message in tree.messages:
                seqs.setdefault(queue, []).append(message.number)
            for key, holder, _ in tree.keys:
                self._rows.records.free(key, holder)
        for queue, some in seqs.items():
            self._rows.drop(self._queues[queue].id, some)
        self._rows.handover.forget([record for tree in found for record in tree.records])
        return found

    # ---- what there is ------------------------------------------------------------------------
    def _find_messages(self) -> dict[str, dict[str, _Waiting]]:
        """What waits, by queue and id."""
        ids: dict[str, list[str]] = {}
        for one in self._asked:
            for name, some in one.messages:
                ids.setdefault(name, []).extend(some)
        found: dict[str, dict[str, _Waiting]] = {}
        for name, some in ids.items():
            if (queue := self._rows.queue(name)) is None:
                continue
            self._queues[name] = queue
            waiting = [one for one in self._rows.select(queue.id, some, len(some)) if not one.topic]
            seqs = [one.seq for one in waiting]
            had = {one.id: one for one in self._rows.handover.had(queue, seqs)}
            found[name] = {one.id: _Waiting(had.get(one.id, one), one.id in had) for one in waiting}
        return found

    def _find_records(self) -> dict[str, dict[str, Record]]:
        keys: dict[str, list[str]] = {}
        for one in self._asked:
            for seen in one.seen:
                keys.setdefault(seen.kind, []).append(seen.key)
        find, now = self._rows.records.find, self._now
        return {kind: find(kind, some, now) for kind, some in keys.items()}

    # ---- one tree -----------------------------------------------------------------------------
    def _tree(self, asked: Asked) -> Tree | None:
        """What leaves; None for one that may not leave now."""
        messages = self._messages_of(asked)
        records = None if messages is None else self._records_of(asked)
        if messages is None or records is None:
            return None
        for queue, row in messages:
            if (group := self._group(queue, row)) is not None:
                self._leaving[queue, group] = self._leaving.get((queue, group), 0) + 1
        return Tree(
            root=asked.root,
            records=records,
            keys=[
                HeldKey(key, holder, self._keys[key][1])
                for key, holder in asked.keys
                if key in self._keys and self._keys[key][0] == holder
            ],
            messages=[
                QueuedMessage(queue, handed(self._rows, row, before_of(row)))
                for queue, row in messages
            ],
            beside=list(asked.beside),
            elsewhere=list(asked.elsewhere),
            strays=list(asked.strays),
        )

    def _messages_of(self, asked: Asked) -> list[tuple[str, Row]] | None:
        """Its messages, by queue in order; None when one of them may not leave."""
        found: list[tuple[str, Row]] = []
        for queue, ids in asked.messages:
            waiting = self._messages.get(queue, {})
            some = [waiting[id] for id in ids if id in waiting]
            if any(not one.had or in_flight(one.row, self._now) for one in some):
                return None
            rows = sorted((one.row for one in some), key=lambda row: row.seq)
            if not self._are_first(queue, rows):
                return None
            found += [(queue, row) for row in rows]
        return found

    def _group(self, queue: str, row: Row) -> str | None:
        """The message group of a row, if its queue keeps their order."""
        return read_extra(row.extra).group if self._queues[queue].fifo else None

    def _are_first(self, queue: str, rows: Sequence[Row]) -> bool:
        """Whether nothing stands before these in their groups but these, and others that leave."""
        own: dict[str, int] = {}
        for row in rows:
            if (group := self._group(queue, row)) is None:
                continue
            leave = self._leaving.get((queue, group), 0) + own.get(group, 0)
            number = self._queues[queue].id
            if self._rows.handover.before(number, group, row.seq, leave + 1) > leave:
                return False
            own[group] = own.get(group, 0) + 1
        return True

    def _records_of(self, asked: Asked) -> list[Record] | None:
        """Its records as they were seen, in that order; None when any is not, or there are
        others."""
        records: list[Record] = []
        for kind, key, version, counted in asked.seen:
            record = self._records[kind].get(key)
            if record is None or (record.version, record.count) != (version, counted):
                return None
            records.append(record)
        for kind in asked.parts:
            known = sum(one.kind == kind and one.parent == asked.root for one in records)
            if known != self._count(kind, asked.root, known + 1):
                return None
        return records

    def _count(self, kind: str, parent: str, most: int) -> int:
        """How many records of a kind have this parent; counts little further than `most`."""
        count, after = 0, ""
        while count < most:
            query = RecordQuery(
                kind=kind, parent=parent, order="oldest", limit=PAGE, after=after or None
            )
            found = self._rows.records.select(query, check_page(query), self._now)
            page = make_page(query, found)
            count += len(page.records)
            if page.next is None:
                break
            after = page.next
        return count
