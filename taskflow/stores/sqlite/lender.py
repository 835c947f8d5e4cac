"""Lending rows, in SQL: finding what is due and taking the leases, in one verb."""

from collections.abc import Sequence

from taskflow.stores.row import AHEAD, Ask, Lent, QueueRow, Row
from taskflow.stores.sqlite.due_rows import DueRows
from taskflow.stores.sqlite.lease_rows import LeaseRows


class Lender:
    """Two statements, which nobody comes between: SQLite has one writer."""

    def __init__(self, due: DueRows, leases: LeaseRows) -> None:
        self._due = due
        self._leases = leases

    def lend(self, queue: QueueRow, ask: Ask, now: float) -> Lent:
        holding = ask.holding
        fresh_only = holding is not None and holding.suspects > 0
        if ask.noisy:
            found = self._due.due_fairly(queue.id, now, ask.limit, ask.noisy, fresh_only)
        else:
            found = self._due.due(queue, now, ask.limit, fresh_only)
        if holding is not None:
            found = [_counted(row) for row in found]
        old, worn, rows = [], [], []
        for row in found:
            if row.sent_at <= ask.kept_from:
                old.append(row)
            elif ask.most is not None and row.receive_count >= ask.most:
                worn.append(row)
            else:
                rows.append(row)
        if holding is not None and (old or worn):
            rows = []  # what comes along with which is known once those are gone
        receipt = ask.receipt
        if holding is not None and rows:
            rows = _before_the_first_lapsed(rows)
            if not rows[0].lapsed and (holding.messages or len(rows) > 1):
                receipt |= AHEAD
        if rows:
            # A suspect is alone; its count may be one less than its row's (`_counted`).
            count = 1 if len(rows) > 1 else 1 - _uncounted(rows[0])
            seqs = [row.seq for row in rows]
            self._leases.hold(queue.id, seqs, receipt, ask.until, now, count)
        return Lent(rows, old, worn, receipt)


def _uncounted(row: Row) -> int:
    """1 for a row whose last receive was no attempt, as far as anybody knows."""
    return 1 if row.lapsed and row.receipt is not None and row.receipt & AHEAD else 0


def _counted(row: Row) -> Row:
    return row._replace(receive_count=row.receive_count - 1) if _uncounted(row) else row


def _before_the_first_lapsed(rows: Sequence[Row]) -> list[Row]:
    """What lapsed comes alone; else what is before the first of it."""
    if rows[0].lapsed:
        return [rows[0]]
    lapsed = [row.lapsed for row in rows]
    return list(rows[: lapsed.index(True)] if True in lapsed else rows)
