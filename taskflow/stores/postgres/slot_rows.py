"""The limits of slots (`stores.slot_limits`), in SQL.

Whoever counts, parks or frees has the slot's lock: what one parks, another may be about to free.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from taskflow.broker.settings import Limit
from taskflow.stores.postgres.bucket_rows import BucketRows
from taskflow.stores.postgres.columns import AT_LEVEL, PARKED
from taskflow.stores.postgres.locks import lock_names
from taskflow.stores.postgres.session import Session
from taskflow.stores.postgres.watermarks import Watermarks
from taskflow.stores.row import PACED, SPOKEN, Row
from taskflow.stores.slot_limits import admit

_FIRST = (
    "(SELECT m.seq FROM tf.message m WHERE m.queue = $1::int8 AND m.slot = $2 "
    f"AND m.visible_at = {PARKED} AND {{}} ORDER BY m.place LIMIT 1)"
)
_UNPARK = (
    "UPDATE tf.message SET visible_at = sent_at "
    f"WHERE seq IN ({' UNION ALL '.join(map(_FIRST.format, AT_LEVEL.values()))}) "
    "RETURNING visible_at"
)
_NEXT_PARKED = f"""
SELECT queue, slot FROM tf.message
WHERE visible_at = {PARKED} AND slot IS NOT NULL AND (queue, slot) > ($1::int4, $2)
ORDER BY queue, slot LIMIT 1"""
_PARK = f"""
UPDATE tf.message SET visible_at = {PARKED},
                      receipt = CASE WHEN receipt IS NULL OR receipt = {PACED} THEN receipt
                                     WHEN receipt & {SPOKEN} <> 0 THEN NULL
                                     ELSE receipt & 1 END
WHERE seq = ANY ($1::int8[])"""


class SlotRows:
    """What is held of a slot are its leases: a worker that dies frees it when they end."""

    def __init__(self, session: Session, buckets: BucketRows, watermarks: Watermarks) -> None:
        self._session = session
        self._watermarks = watermarks
        self.draw = buckets.draw

    def _lock(self, queue: int, slots: Collection[str]) -> None:
        lock_names(self._session, f"slot/{queue}", slots)

    def admit(
        self, queue: int, rows: Sequence[Row], limits: Mapping[str, Limit], now: float
    ) -> list[Row]:
        """As `slots.admit`."""
        self._lock(queue, {row.slot for row in rows if row.slot is not None})
        return admit(self, queue, rows, limits, now)

    def count_held(self, queue: int, slot: str, now: float) -> int:
        found: int = self._session.first(
            f"""SELECT count(*) FROM tf.message
                WHERE queue = $1::int8 AND slot = $2 AND receipt IS NOT NULL
                  AND receipt & {SPOKEN} = 0
                  AND visible_at > $3::float8 AND visible_at < {PARKED}""",
            (queue, slot, now),
        )[0]
        return found

    def pace(self, queue: int, seq: int, until: float) -> None:
        self._session.change(
            f"UPDATE tf.message SET visible_at = $1::float8, receipt = {PACED} "
            "WHERE seq = $2::int8",
            (until, seq),
        )
        self._watermarks.hidden(queue, until)

    def park(self, queue: int, seqs: Sequence[int]) -> None:
        self._session.change(_PARK, (list(seqs),))

    def unpark(self, queue: int, slots: Sequence[str]) -> bool:
        if not slots:
            return False
        with self._session.together():
            self._lock(queue, slots)
            return self.unpark_some(queue, slots)

    def unpark_some(self, queue: int, slots: Sequence[str]) -> bool:
        freed = [at for slot in slots for (at,) in self._session.write(_UNPARK, (queue, slot))]
        if freed:
            again = partial(self._watermarks.due_again, queue, min(freed))
            self._session.later.append(again)
        return bool(freed)

    def parked(self, after: tuple[int, str], limit: int) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        while len(found) < limit:
            one = self._session.first(_NEXT_PARKED, after)
            if one is None:
                break
            found.append(one)
            after = one
        return found
