"""A tree of records is taken out of a store, whole and as it was seen, or left as it is."""

from collections.abc import Sequence

from taskflow.broker.change import Remove
from taskflow.broker.record import Record, RecordQuery
from taskflow.broker.tree_handover import Asked, HeldKey, QueuedMessage, Tree
from taskflow.brokers.stored.handed_rows import before_of, handed, in_flight
from taskflow.brokers.stored.record_pages import check_page, make_page
from taskflow.stores.message_columns import read_extra
from taskflow.stores.row import QueueRow, Row
from taskflow.stores.rows import Rows

PAGE = 1000


def take_out(rows: Rows, asked: Asked, now: float) -> Tree | None:
    """Remove it from the store, and answer it; None for one that may not leave now, and then
    nothing was removed. The names of all that is asked for are the caller's.

    Its messages are had first: whoever keeps something of it by the receipt of one, having no other
    part of it in hand, is waited for or comes too late."""
    messages = _messages(rows, asked, now)
    records = None if messages is None else _records(rows, asked, now)
    if messages is None or records is None:
        return None
    holders = dict(asked.keys)
    keys = [
        HeldKey(key, holder, until)
        for key, (holder, until) in rows.handover.holdings(list(holders), now).items()
        if holder == holders[key]
    ]
    tree = Tree(
        root=asked.root,
        records=records,
        keys=keys,
        messages=[
            QueuedMessage(queue.name, handed(rows, row, before_of(row)))
            for queue, some in messages
            for row in some
        ],
        beside=list(asked.beside),
        elsewhere=list(asked.elsewhere),
        strays=list(asked.strays),
    )
    for queue, some in messages:
        rows.drop(queue.id, [row.seq for row in some])
    for one in records:
        rows.records.remove(Remove(one.kind, one.key), now)
    for key, holder, _ in keys:
        rows.records.free(key, holder)
    return tree


def _messages(rows: Rows, asked: Asked, now: float) -> list[tuple[QueueRow, Sequence[Row]]] | None:
    """Its messages, by queue; None when one of them may not leave."""
    found = list[tuple[QueueRow, Sequence[Row]]]()
    for name, ids in asked.messages:
        queue = rows.queue(name)
        if queue is None:
            continue
        seqs = [row.seq for row in rows.select(queue.id, ids, len(ids)) if not row.topic]
        if not seqs:
            continue
        had = rows.handover.had(queue, seqs)
        if len(had) < len(seqs) or any(in_flight(row, now) for row in had):
            return None
        if queue.fifo and not _is_first(rows, queue, had):
            return None
        found.append((queue, had))
    return found


def _is_first(rows: Rows, queue: QueueRow, had: Sequence[Row]) -> bool:
    """Whether nothing stands before these in their groups but these."""
    of_group = dict[str, int]()
    for row in had:
        group = read_extra(row.extra).group
        if group is None:
            continue
        mine = of_group.get(group, 0)
        if rows.handover.before(queue.id, group, row.seq, mine + 1) > mine:
            return False
        of_group[group] = mine + 1
    return True


def _records(rows: Rows, asked: Asked, now: float) -> list[Record] | None:
    """Its records as they were seen, in that order; None when any is not, or there are others."""
    keys = dict[str, list[str]]()
    for one in asked.seen:
        keys.setdefault(one.kind, []).append(one.key)
    found = {kind: rows.records.find(kind, some, now) for kind, some in keys.items()}
    records = list[Record]()
    for kind, key, version, counted in asked.seen:
        record = found[kind].get(key)
        if record is None or (record.version, record.count) != (version, counted):
            return None
        records.append(record)
    for kind in asked.parts:
        known = sum(one.kind == kind and one.parent == asked.root for one in records)
        if known != _count(rows, kind, asked.root, known + 1, now):
            return None
    return records


def _count(rows: Rows, kind: str, parent: str, most: int, now: float) -> int:
    """How many records of a kind have this parent; counts little further than `most`."""
    count, after = 0, ""
    while count < most:
        query = RecordQuery(
            kind=kind, parent=parent, order="oldest", limit=PAGE, after=after or None
        )
        page = make_page(query, rows.records.select(query, check_page(query), now))
        count += len(page.records)
        if page.next is None:
            break
        after = page.next
    return count
