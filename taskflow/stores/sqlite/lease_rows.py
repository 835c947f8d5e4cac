"""Leases on rows, in SQL: taken, kept, ended."""

from collections.abc import Sequence
from typing import Any

import apsw

from taskflow.broker.settings import Lease
from taskflow.stores.row import PACED, SPOKEN, Held, Row
from taskflow.stores.sqlite.columns import COLUMNS, encode
from taskflow.stores.sqlite.lanes import Lanes

_HOLDS = """UPDATE message SET visible_at = ?, receive_count = receive_count + ?, receipt = ?,
                               first_received_at = coalesce(first_received_at, ?)
            WHERE queue = ?"""
_HOLD_ONE = f"{_HOLDS} AND seq = ?"
_HOLD = f"{_HOLDS} AND seq IN (SELECT value FROM json_each(?))"


class LeaseRows:
    """A lease is a receipt on a row, and the time until which it is hidden."""

    def __init__(self, connection: apsw.Connection, lanes: Lanes) -> None:
        self._connection = connection
        self._execute = connection.cursor().execute  # making one costs more than to use it
        self._lanes = lanes

    def hold(
        self,
        queue: int,
        seqs: Sequence[int],
        receipt: int,
        until: float,
        now: float,
        count: int = 1,
    ) -> None:
        alone = len(seqs) == 1  # then a list of them would cost more than the change
        which = seqs[0] if alone else encode(seqs).decode()
        self._execute(_HOLD_ONE if alone else _HOLD, (until, count, receipt, now, queue, which))
        self._lanes.refresh(queue, self._lanes.of(queue, seqs))

    def extend(self, queue: int, seqs: Sequence[int], until: float) -> None:
        self._connection.execute(
            """UPDATE message SET visible_at = ?
               WHERE queue = ? AND seq IN (SELECT value FROM json_each(?))""",
            (until, queue, encode(list(seqs)).decode()),
        )
        self._lanes.refresh(queue, self._lanes.of(queue, seqs))

    def find(self, queue: int, held: Sequence[Held]) -> list[Row | None]:
        found = [
            self._execute(
                f"""SELECT {COLUMNS} FROM message m JOIN body p ON p.seq = m.seq
                    WHERE m.queue = ? AND m.seq = ? AND (m.receipt & -3) = ?""",
                (queue, seq, receipt),
            ).get
            for seq, receipt in held
        ]
        return [None if row is None else Row._make(row) for row in found]

    def leases(self, queue: int, held: Sequence[Held], now: float) -> list[Lease]:
        return [self._lease(queue, one, now) for one in held]

    def fence(self, queue: int, held: Held, now: float) -> Lease:
        return self._lease(queue, held, now)

    def _lease(self, queue: int, held: Held, now: float) -> Lease:
        found = self._execute(
            "SELECT receipt, visible_at FROM message WHERE queue = ? AND seq = ?",
            (queue, held.seq),
        ).get
        if found is None:
            return "gone"
        receipt, visible_at = found
        if receipt is None or receipt & ~SPOKEN != held.receipt:
            return "stale"
        return "held" if visible_at > now else "lapsed"

    def hide(
        self, queue: int, held: Sequence[tuple[Held, float]], now: float, spoken: bool
    ) -> list[bool]:
        hidden = [
            self._changed(
                """UPDATE message SET visible_at = ?1, receipt = (receipt & -3) | ?2
                   WHERE queue = ?3 AND seq = ?4 AND visible_at > ?5
                     AND receipt IS NOT NULL AND (?6 = -1 OR (receipt & -3) = ?6)""",
                (until, SPOKEN if spoken else 0, queue, seq, now, receipt),
            )
            for (seq, receipt), until in held
        ]
        self._lanes.refresh(queue, self._lanes.of(queue, [one.seq for one, _ in held]))
        return hidden

    def release(
        self, queue: int, held: Sequence[Held], now: float, slot: str | None = None
    ) -> list[bool]:
        released = [
            self._changed(
                """UPDATE message
                   SET visible_at = ?1, receive_count = receive_count - 1,
                       receipt = CASE WHEN slot IS NOT NULL AND ?2 IS NULL THEN ?6 END,
                       slot = coalesce(?2, slot)
                   WHERE queue = ?3 AND seq = ?4 AND (receipt & -3) = ?5""",
                (now, slot, queue, seq, receipt, PACED),  # its turn at a rate has come
            )
            for seq, receipt in held
        ]
        self._lanes.refresh(queue, self._lanes.of(queue, [one.seq for one in held]))
        return released

    def delay_again(self, queue: int, delay: float) -> None:
        self._execute(
            """UPDATE message SET visible_at = sent_at + ?
               WHERE queue = ? AND receive_count = 0 AND receipt IS NULL""",
            (delay, queue),
        )
        lanes = self._execute("SELECT name FROM lane WHERE queue = ?", (queue,))
        self._lanes.refresh(queue, [lane for (lane,) in list(lanes)])

    def _changed(self, sql: str, values: tuple[Any, ...]) -> bool:
        self._execute(sql, values)
        return self._connection.changes() > 0
