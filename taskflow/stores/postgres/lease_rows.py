"""Leases on rows, in SQL: taken, kept, ended."""

from collections.abc import Sequence

from taskflow.broker.settings import Lease
from taskflow.stores.postgres.columns import COLUMNS, WITH_PAYLOAD
from taskflow.stores.postgres.lanes import Lanes
from taskflow.stores.postgres.session import Session
from taskflow.stores.row import PACED, SPOKEN, Held, Row

_HOLD = """
UPDATE tf.message
SET visible_at = $2::float8, receive_count = receive_count + $3::int8, receipt = $4::int8,
    first_received_at = coalesce(first_received_at, $5::float8)
WHERE seq = ANY ($1::int8[])"""

_HIDE = """
UPDATE tf.message m SET visible_at = u.until, receipt = (m.receipt & -3) | $4::int8
FROM unnest($1::int8[], $2::int8[], $3::float8[]) u (seq, receipt, until)
WHERE m.seq = u.seq AND m.visible_at > $5::float8
  AND m.receipt IS NOT NULL AND (u.receipt = -1 OR (m.receipt & -3) = u.receipt)
RETURNING u.seq, u.receipt"""

_RELEASE = f"""
UPDATE tf.message m
SET visible_at = $3::float8, receive_count = m.receive_count - 1,
    receipt = CASE WHEN m.slot IS NOT NULL AND $4::text IS NULL THEN {PACED}::int8 END,
    slot = coalesce($4::text, m.slot)
FROM unnest($1::int8[], $2::int8[]) u (seq, receipt)
WHERE m.seq = u.seq AND (m.receipt & -3) = u.receipt
RETURNING u.seq, u.receipt"""


class LeaseRows:
    """A lease is a receipt on a row, and the time until which it is hidden."""

    def __init__(self, session: Session, lanes: Lanes) -> None:
        self._session = session
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
        """Take the lease of rows that are the caller's."""
        with self._lanes.locked(queue, seqs):
            self._session.change(_HOLD, (list(seqs), until, count, receipt, now))

    def extend(self, queue: int, seqs: Sequence[int], until: float) -> None:
        with self._lanes.locked(queue, seqs):
            self._session.change(
                "UPDATE tf.message SET visible_at = $2::float8 WHERE seq = ANY ($1::int8[])",
                (sorted(seqs), until),
            )

    def find(self, queue: int, held: Sequence[Held]) -> list[Row | None]:
        self._lanes.lock(queue, [one.seq for one in held])
        rows = [
            Row._make(found)
            for found in self._session.ask(
                f"""SELECT {COLUMNS} FROM unnest($1::int8[], $2::int8[]) u (seq, receipt)
                    JOIN tf.message m ON m.seq = u.seq AND (m.receipt & -3) = u.receipt
                    {WITH_PAYLOAD} ORDER BY m.seq FOR UPDATE OF m""",
                ([one.seq for one in held], [one.receipt for one in held]),
            )
        ]
        by_held = {(row.seq, (row.receipt or 0) & ~SPOKEN): row for row in rows}
        return [by_held.get((seq, receipt)) for seq, receipt in held]

    def leases(self, queue: int, held: Sequence[Held], now: float) -> list[Lease]:
        return [self._lease(one, now, "") for one in held]

    def fence(self, queue: int, held: Held, now: float) -> Lease:
        self._lanes.lock(queue, [held.seq])
        return self._lease(held, now, "FOR UPDATE")

    def _lease(self, held: Held, now: float, lock: str) -> Lease:
        found = self._session.first(
            f"SELECT receipt, visible_at FROM tf.message WHERE seq = $1::int8 {lock}", (held.seq,)
        )
        if found is None:
            return "gone"
        receipt, visible_at = found
        if receipt is None or receipt & ~SPOKEN != held.receipt:
            return "stale"
        return "held" if visible_at > now else "lapsed"

    def hide(
        self, queue: int, held: Sequence[tuple[Held, float]], now: float, spoken: bool
    ) -> list[bool]:
        seqs = [one.seq for one, _ in held]
        with self._lanes.locked(queue, seqs):
            values = (
                seqs,
                [one.receipt for one, _ in held],
                [until for _, until in held],
                SPOKEN if spoken else 0,
                now,
            )
            done = set(self._session.write(_HIDE, values))
        return [one in done for one, _ in held]

    def release(
        self, queue: int, held: Sequence[Held], now: float, slot: str | None = None
    ) -> list[bool]:
        seqs = [one.seq for one in held]
        with self._lanes.locked(queue, seqs):
            values = (seqs, [one.receipt for one in held], now, slot)
            done = set(self._session.write(_RELEASE, values))
        return [one in done for one in held]

    def delay_again(self, queue: int, delay: float) -> None:
        with self._session.together():
            found = self._session.ask(
                "SELECT name FROM tf.lane WHERE queue = $1::int8 ORDER BY name FOR UPDATE", (queue,)
            )
            self._session.change(
                """UPDATE tf.message SET visible_at = sent_at + $1::float8
                   WHERE queue = $2::int8 AND receive_count = 0 AND receipt IS NULL""",
                (delay, queue),
            )
            self._lanes.refresh(queue, [name for (name,) in found])
