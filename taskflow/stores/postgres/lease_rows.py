"""Leases on rows, in SQL: taken, kept, ended."""

from collections.abc import Sequence

from taskflow.broker.settings import Lease
from taskflow.stores.postgres.columns import COLUMNS, OF_ITS_OWN, WITH_PAYLOAD
from taskflow.stores.postgres.lanes import Lanes
from taskflow.stores.postgres.session import Session
from taskflow.stores.postgres.watermarks import Watermarks
from taskflow.stores.row import PACED, SPOKEN, Held, Row

_HOLD = """
UPDATE tf.message
SET visible_at = $2::float8, receive_count = receive_count + $3::int8, receipt = $4::int8,
    first_received_at = coalesce(first_received_at, $5::float8)
WHERE seq = ANY ($1::int8[])"""

_HIDE = f"""
UPDATE tf.message m SET visible_at = ($3::float8[])[array_position($1::int8[], m.seq)],
                        receipt = (m.receipt & -3) | $4::int8
WHERE m.seq = ANY ($1::int8[]) AND m.visible_at > $5::float8
  AND m.receipt IS NOT NULL AND ({OF_ITS_OWN} = -1 OR (m.receipt & -3) = {OF_ITS_OWN})
RETURNING m.seq"""

_RELEASE = f"""
UPDATE tf.message m
SET visible_at = $3::float8, receive_count = m.receive_count - 1,
    receipt = CASE WHEN m.slot IS NOT NULL AND $4::text IS NULL THEN {PACED}::int8 END,
    slot = coalesce($4::text, m.slot)
WHERE m.seq = ANY ($1::int8[]) AND (m.receipt & -3) = {OF_ITS_OWN}
RETURNING m.seq"""


class LeaseRows:
    """A lease is a receipt on a row, and the time until which it is hidden."""

    def __init__(self, session: Session, lanes: Lanes, watermarks: Watermarks) -> None:
        self._session = session
        self._lanes = lanes
        self._watermarks = watermarks

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
        self._watermarks.hidden(queue, until)

    def extend(self, queue: int, seqs: Sequence[int], until: float) -> None:
        with self._lanes.locked(queue, seqs):
            self._session.change(
                "UPDATE tf.message SET visible_at = $2::float8 WHERE seq = ANY ($1::int8[])",
                (sorted(seqs), until),
            )

    def find(self, queue: int, held: Sequence[Held]) -> list[Row | None]:
        seqs = [one.seq for one in held]
        self._lanes.lock(queue, seqs)
        found = self._session.ask(
            f"""WITH m AS MATERIALIZED (
                    SELECT * FROM tf.message m WHERE m.seq = ANY ($1::int8[])
                    ORDER BY m.seq FOR UPDATE)
                SELECT {COLUMNS} FROM m {WITH_PAYLOAD}""",
            (seqs,),
        )
        rows = {row[0]: Row._make(row) for row in found}
        return [
            row
            if row is not None and row.receipt is not None and row.receipt & ~SPOKEN == receipt
            else None
            for row, receipt in ((rows.get(seq), receipt) for seq, receipt in held)
        ]

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
        if len(set(seqs)) < len(seqs):  # one after the other
            return [self.hide(queue, [one], now, spoken)[0] for one in held]
        with self._lanes.locked(queue, seqs):
            values = (
                seqs,
                [one.receipt for one, _ in held],
                [until for _, until in held],
                SPOKEN if spoken else 0,
                now,
            )
            done = {seq for (seq,) in self._session.write(_HIDE, values)}
        for until in {until for _, until in held}:
            if until > now:
                self._watermarks.hidden(queue, until)
            else:
                self._watermarks.due_again(queue)
        return [seq in done for seq in seqs]

    def release(
        self, queue: int, held: Sequence[Held], now: float, slot: str | None = None
    ) -> list[bool]:
        seqs = [one.seq for one in held]
        if len(set(seqs)) < len(seqs):
            return [self.release(queue, [one], now, slot)[0] for one in held]
        with self._lanes.locked(queue, seqs):
            values = (seqs, [one.receipt for one in held], now, slot)
            done = {seq for (seq,) in self._session.write(_RELEASE, values)}
        self._watermarks.due_again(queue)
        return [seq in done for seq in seqs]

    def delay_again(self, queue: int, delay: float) -> None:
        with self._session.together():
            found = self._session.ask(
                "SELECT name FROM tf.lane WHERE queue = $1::int8 ORDER BY name FOR UPDATE", (queue,)
            )
            names = [name for (name,) in found]  # one that is made meanwhile keeps its delay
            self._session.change(
                """UPDATE tf.message SET visible_at = sent_at + $1::float8
                   WHERE queue = $2::int8 AND receive_count = 0 AND receipt IS NULL
                     AND (lane IS NULL OR lane = ANY ($3::text[]))""",
                (delay, queue, names),
            )
            self._lanes.refresh(queue, names)
