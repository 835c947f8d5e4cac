"""Lending rows: which of those that are due go out together, over any SQL that finds and holds
them."""

from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import Protocol

from taskflow.broker.settings import Limit
from taskflow.stores.row import AHEAD, CROWD, LEVELS, NORMAL, Ask, Lent, QueueRow, Row


class Due(Protocol):
    """Finds rows that are due, in the order in which they are to start; nobody else is lent them
    until the transaction ends."""

    def due_at(
        self, level: int | None, queue: QueueRow, now: float, limit: int, without_lapsed: bool
    ) -> list[Row]:
        """Those of one level of a standard queue, perhaps without suspects: of what lapsed, those
        that were no bystanders (`Row.bystander`)."""
        ...

    def due_fairly(
        self,
        level: int | None,
        queue: int,
        now: float,
        limit: int,
        noisy: Sequence[str],
        without_lapsed: bool,
    ) -> list[Row]:
        """As `due_at`, those of noisy groups after the others."""
        ...

    def due_in_order(
        self, queue: QueueRow, now: float, limit: int, without_lapsed: bool
    ) -> list[Row]:
        """Those of a FIFO queue, perhaps without groups whose first lease lapsed."""
        ...


class Leases(Protocol):
    """Takes leases."""

    def hold(
        self, queue: int, seqs: Sequence[int], receipt: int, until: float, now: float, count: int
    ) -> None:
        """Hide rows until then under a receipt, and add to what they were received."""
        ...


class Slots(Protocol):
    """Knows what shares a limit."""

    def admit(
        self, queue: int, rows: Sequence[Row], limits: Mapping[str, Limit], now: float
    ) -> list[Row]:
        """Those of these rows that may start now; the others are put off."""
        ...


NEVER = float("-inf")


def without_old(
    queue: QueueRow,
    now: float,
    look: Callable[[float], list[Row]],
    expire: Callable[[int, float], None],
) -> list[Row]:
    """What `look` finds from the beginning; when the first of it is past its retention, what it
    finds behind that: there may be a million more, of which some are dropped."""
    found = look(NEVER)
    kept_from = now - queue.settings.retention
    if found and found[0].sent_at <= kept_from:
        expire(queue.id, kept_from)
        found = look(kept_from)
    return found


class Lender:
    """A few statements of one transaction."""

    def __init__(self, due: Due, leases: Leases, slots: Slots) -> None:
        self._due = due
        self._leases = leases
        self._slots = slots

    def lend(self, queue: QueueRow, ask: Ask, now: float) -> Lent:
        holding = ask.holding
        fresh_only = holding is not None and holding.suspects > 0
        found = self._find(queue, ask, now, fresh_only)
        fresh = {row.receipt for row in found} <= {None}  # as most are: then none lapsed
        if holding is not None and not fresh:
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
        put_off = 0
        receipt = ask.receipt
        if holding is not None and rows:
            if not fresh:
                rows = _alike(rows, queue.fifo)
            if holding.limits and any(row.slot is not None for row in rows):
                admitted = self._slots.admit(queue.id, rows, holding.limits, now)
                put_off = len(rows) - len(admitted)
                rows = admitted
        together = holding is not None and (holding.messages or len(rows) > 1)
        if together and rows and not rows[0].lapsed:
            receipt |= AHEAD
        elif together and rows and _in_crowd(rows[0], queue.fifo):
            receipt |= AHEAD | CROWD
        if ask.turns is not None:
            ask.turns.started([LEVELS.index(row.level) for row in rows])
        if rows:
            # The count of what lapsed may be one less than its row's (`_counted`).
            alike = holding is not None or len(rows) == 1
            count = 1 - _uncounted(rows[0]) if alike else 1
            seqs = [row.seq for row in rows]
            self._leases.hold(queue.id, seqs, receipt, ask.until, now, count)
        return Lent(rows, old, worn, receipt, put_off)

    def _find(self, queue: QueueRow, ask: Ask, now: float, fresh_only: bool) -> list[Row]:
        """What is due, in the order in which it is to start."""
        due, limit = self._due, ask.limit
        if queue.fifo:
            return due.due_in_order(queue, now, limit, fresh_only)

        def look(level: int | None) -> list[Row]:
            if ask.noisy:
                return due.due_fairly(level, queue.id, now, limit, ask.noisy, fresh_only)
            return due.due_at(level, queue, now, limit, fresh_only)

        if ask.turns is None:
            return look(NORMAL)
        return ask.turns.merge([look(level) for level in LEVELS], limit)


def _uncounted(row: Row) -> int:
    """1 for a row whose last receive was no attempt, as far as anybody knows."""
    return 1 if row.lapsed and row.receipt is not None and row.receipt & AHEAD else 0


def _counted(row: Row) -> Row:
    return row._replace(receive_count=row.receive_count - 1) if _uncounted(row) else row


def _alike(rows: Sequence[Row], fifo: bool) -> list[Row]:
    """Those that may come together, from the first on: what did not lapse, or what may go in a
    crowd. Anything else that lapsed comes alone."""
    if _in_crowd(rows[0], fifo):
        return list(takewhile(lambda row: row.bystander, rows))
    if rows[0].lapsed:
        return [rows[0]]
    return list(takewhile(lambda row: not row.lapsed, rows))


def _in_crowd(row: Row, fifo: bool) -> bool:
    """Whether it may be lent with others that lapsed as it did: none of them had been begun alone,
    so that each is hardly to be suspected. Once; the groups of a FIFO queue wait for each other."""
    return row.bystander and not fifo
