"""The limits of slots (`stores.slot_limits`), in SQL."""

from collections.abc import Mapping, Sequence

import apsw

from taskflow.broker.settings import Limit
from taskflow.stores.row import PACED, SPOKEN, Row
from taskflow.stores.slot_limits import admit
from taskflow.stores.sqlite.bucket_rows import BucketRows
from taskflow.stores.sqlite.columns import AT_LEVEL, PARKED, encode

_FIRST = (
    "SELECT * FROM (SELECT seq FROM message INDEXED BY message_parked "
    f"WHERE queue = ?1 AND slot = ?2 AND visible_at = {PARKED} AND {{}} ORDER BY seq LIMIT 1)"
)
_UNPARK = (
    "UPDATE message SET visible_at = sent_at WHERE queue = ?1 AND seq IN "
    f"({' UNION ALL '.join(map(_FIRST.format, AT_LEVEL.values()))})"
)
_NEXT_PARKED = f"""
SELECT q.id, m.slot FROM queue q CROSS JOIN message m INDEXED BY message_parked ON m.queue = q.id
WHERE m.visible_at = {PARKED} AND m.slot IS NOT NULL
  AND (q.id = ?1 AND m.slot > ?2 OR q.id > ?1)
ORDER BY q.id, m.slot LIMIT 1"""
_PARK = f"""
UPDATE message SET visible_at = {PARKED},
                   receipt = CASE WHEN receipt IS NULL OR receipt = {PACED} THEN receipt
                                  WHEN receipt & {SPOKEN} THEN NULL
                                  ELSE receipt & 1 END
WHERE queue = ? AND seq IN (SELECT value FROM json_each(?))"""


class SlotRows:
    """What is held of a slot are its leases: a worker that dies frees it when they end."""

    def __init__(self, connection: apsw.Connection, buckets: BucketRows) -> None:
        self._connection = connection
        self._execute = connection.cursor().execute
        self.draw = buckets.draw

    def admit(
        self, queue: int, rows: Sequence[Row], limits: Mapping[str, Limit], now: float
    ) -> list[Row]:
        """As `slots.admit`."""
        return admit(self, queue, rows, limits, now)

    def count_held(self, queue: int, slot: str, now: float) -> int:
        found: int = self._execute(
            f"""SELECT count(*) FROM message INDEXED BY message_held
                WHERE queue = ? AND slot = ? AND receipt IS NOT NULL AND NOT receipt & {SPOKEN}
                  AND visible_at > ? AND visible_at < {PARKED}""",
            (queue, slot, now),
        ).get
        return found

    def pace(self, queue: int, seq: int, until: float) -> None:
        self._execute(
            "UPDATE message SET visible_at = ?, receipt = ? WHERE queue = ? AND seq = ?",
            (until, PACED, queue, seq),
        )

    def park(self, queue: int, seqs: Sequence[int]) -> None:
        self._execute(_PARK, (queue, encode(list(seqs)).decode()))

    def unpark(self, queue: int, slots: Sequence[str]) -> bool:
        if not slots:
            return False
        before = self._connection.total_changes()
        for slot in slots:
            self._execute(_UNPARK, (queue, slot))
        return self._connection.total_changes() > before

    unpark_some = unpark  # there is one writer

    def parked(self, after: tuple[int, str], limit: int) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        while len(found) < limit:
            after = self._execute(_NEXT_PARKED, after).get
            if after is None:
                break
            found.append(after)
        return found
