"""What leaves this store for another one and comes in from one, in SQL."""

from collections.abc import Collection, Sequence

import apsw
import msgspec

from taskflow.broker.record import Record
from taskflow.stores.message_columns import read_extra
from taskflow.stores.row import QueueRow, Row
from taskflow.stores.sqlite.bodies import SqliteBodies
from taskflow.stores.sqlite.columns import COLUMNS, PARKED, encode
from taskflow.stores.sqlite.insertion import Insertion
from taskflow.stores.sqlite.lanes import Lanes
from taskflow.stores.sqlite.letters import SqliteLetters

_FIELDS = Record.__struct_fields__


class SqliteHandover:
    """`HandoverRows` over one connection."""

    def __init__(
        self,
        connection: apsw.Connection,
        insertion: Insertion,
        bodies: SqliteBodies,
        lanes: Lanes,
        letters: SqliteLetters,
    ) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._insertion = insertion
        self._bodies = bodies
        self._lanes = lanes
        self._letters = letters

    def page(
        self, queue: QueueRow, after: int, limit: int, now: float
    ) -> tuple[list[Row], int | None]:
        found = [
            Row._make(one)
            for one in self._execute(
                f"""SELECT {COLUMNS} FROM message m JOIN body p ON p.seq = m.seq
                    WHERE m.queue = ? AND m.seq > ? ORDER BY m.seq LIMIT ?""",
                (queue.id, after, limit),
            )
        ]
        return found, found[-1].seq if found else None

    def hide(self, queue: int, seqs: Collection[int], receipt: int, until: float) -> None:
        self._execute(
            f"""UPDATE message SET receipt = ?1, visible_at =
                    CASE WHEN visible_at < {PARKED} THEN max(visible_at, ?2) ELSE ?2 END
                WHERE queue = ?3 AND seq IN (SELECT value FROM json_each(?4))""",
            (receipt, until, queue, encode(list(seqs)).decode()),
        )
        self._lanes.refresh(queue, self._lanes.of(queue, seqs))

    def add(self, queue: QueueRow, rows: Sequence[Row], now: float) -> None:
        groups = set()
        first = self._insertion.next_numbers(queue, len(rows), now)
        for seq, row in enumerate(rows, first):
            group = read_extra(row.extra).group
            lane, tenant = (group, None) if queue.fifo else (None, group)
            self._execute(
                """INSERT INTO message
                       (queue, seq, visible_at, receive_count, receipt, first_received_at, sent_at,
                        id, topic, source, lane, tenant, level, slot)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING""",
                (
                    *(queue.id, seq, row.visible_at, row.receive_count, row.receipt),
                    *(row.first_received_at, row.sent_at, row.id, row.topic, row.source),
                    *(lane, tenant, row.level, row.slot),
                ),
            )
            if self._connection.changes():
                self._bodies.put(seq, row.body, row.attributes, row.extra)
                if row.source is not None:
                    before = read_extra(row.extra).received
                    self._letters.note(queue.id, seq, row.source, row.attributes, now, before)
                if lane is not None:
                    groups.add(lane)
        self._lanes.refresh(queue.id, groups)

    def finished(
        self, queue: int, last: tuple[str, str], limit: int, now: float
    ) -> list[tuple[str, str, float]]:
        return list(
            self._execute(
                """SELECT id, topic, expires_at FROM finished
                   WHERE queue = ? AND (id, topic) > (?, ?) AND expires_at > ?
                   ORDER BY id, topic LIMIT ?""",
                (queue, *last, now, limit),
            )
        )

    def remember(self, queue: int, entries: Sequence[tuple[str, str, float]]) -> None:
        self._connection.executemany(
            """INSERT INTO finished VALUES (?, ?, ?, ?) ON CONFLICT (queue, id, topic) DO UPDATE
               SET expires_at = max(expires_at, excluded.expires_at)""",
            [(queue, *entry) for entry in entries],
        )

    def deduplications(
        self, owner: str, last: tuple[str, str], limit: int, now: float
    ) -> list[tuple[str, str, str, int, float]]:
        return list(
            self._execute(
                """SELECT scope, key, id, seq, expires_at FROM deduplication
                   WHERE (scope, key) > (?2, ?3) AND scope < ?1 || '0' AND expires_at > ?4
                     AND (scope = ?1 OR substr(scope, 1, length(?1) + 1) = ?1 || '/')
                   ORDER BY scope, key LIMIT ?5""",
                (owner, *last, now, limit),
            )
        )

    def deduplicate(self, entries: Sequence[tuple[str, str, str, int, float]], now: float) -> None:
        self._connection.executemany(
            """INSERT INTO deduplication VALUES (?, ?, ?, ?, ?) ON CONFLICT (scope, key) DO UPDATE
               SET id = excluded.id, seq = excluded.seq, expires_at = excluded.expires_at
               WHERE deduplication.expires_at <= ?""",
            [(*entry, now) for entry in entries],
        )

    def had(self, queue: QueueRow, seqs: Collection[int]) -> list[Row]:
        found = self._execute(
            f"""SELECT {COLUMNS} FROM message m JOIN body p ON p.seq = m.seq
                WHERE m.queue = ? AND m.seq IN (SELECT value FROM json_each(?)) ORDER BY m.seq""",
            (queue.id, encode(list(seqs)).decode()),
        )
        return [Row._make(one) for one in found]

    def before(self, queue: int, lane: str, seq: int, most: int) -> int:
        found: int = self._execute(
            """SELECT count(*) FROM (SELECT 1 FROM message
                                     WHERE queue = ? AND lane = ? AND seq < ? LIMIT ?)""",
            (queue, lane, seq, most),
        ).get
        return found

    def holdings(self, keys: Collection[str], now: float) -> dict[str, tuple[str, float | None]]:
        found = self._execute(
            """SELECT h.key, h.holder, h.until FROM json_each(?1) j CROSS JOIN holding h
               ON h.key = j.value WHERE h.until IS NULL OR h.until > ?2""",
            (encode(list(keys)).decode(), now),
        )
        return {key: (holder, until) for key, holder, until in found}

    def restore(self, records: Sequence[Record]) -> None:
        self._connection.executemany(
            f"""INSERT OR REPLACE INTO record ({", ".join(_FIELDS)})
                VALUES ({", ".join("?" * len(_FIELDS))})""",
            [msgspec.structs.astuple(one) for one in records],
        )

    def forget(self, records: Sequence[Record]) -> None:
        self._connection.executemany(
            "DELETE FROM record WHERE kind = ? AND key = ?",
            [(one.kind, one.key) for one in records],
        )
