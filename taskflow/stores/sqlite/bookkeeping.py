"""The store verbs that keep books, in SQL: what is finished, what is too old, how much there is."""

from collections.abc import Collection, Sequence

import apsw

from taskflow.stores.letters import HOUR, TREND_KEPT
from taskflow.stores.row import HIGH, LOW, NORMAL, Counted
from taskflow.stores.sqlite.columns import AT_LEVEL, PARKED, encode

FULL_AFTER = 7 * 86400.0
"""Seconds after which a token bucket without debts is taken for full, as a new one is."""
_ENDING = (
    *("record.expires_at", "holding.until", "applied.expires_at"),
    *("finished.expires_at", "deduplication.expires_at", "attempt.expires_at"),
)
_ANY_GONE = (
    f"SELECT EXISTS (SELECT 1 FROM shared) OR "
    f"EXISTS (SELECT 1 FROM cause_hour WHERE hour < ?1 / {HOUR} - {TREND_KEPT + 1}) OR "
    f"EXISTS (SELECT 1 FROM bucket WHERE at <= ?1 - {FULL_AFTER} AND tokens >= 0) OR "
    + " OR ".join(
        f"EXISTS (SELECT 1 FROM {column.partition('.')[0]} WHERE {column} <= ?1)"
        for column in _ENDING
    )
)
_HIDDEN = " UNION ALL ".join(
    f"SELECT receive_count FROM message WHERE queue = ?1 AND {level} AND visible_at > ?2 "
    f"AND visible_at < {PARKED}"
    for level in AT_LEVEL.values()
)
_TOTALS = """
SELECT q.id, (SELECT count(*) FROM message m WHERE m.queue = q.id),
       q.handled, q.dead_lettered, q.expired
FROM json_each(?) j CROSS JOIN queue q ON q.id = j.value"""
_DUE = " UNION ALL ".join(
    f"SELECT * FROM (SELECT {since} FROM message INDEXED BY {index} "
    f"WHERE queue = ?1 AND {AT_LEVEL[level]} AND {due} LIMIT 1)"
    for level, index in ((HIGH, "message_level"), (NORMAL, "message_due"), (LOW, "message_level"))
    for since, due in (
        ("visible_at", "visible_at <= ?2 ORDER BY visible_at"),
        ("sent_at", f"visible_at = {PARKED} ORDER BY seq"),
    )
)
MANY = 10_000  # rows: counting them one by one would take its time
_Held = tuple[int, int, int, float | None, float | None]
"""As the first fields of Counted."""


class Books:
    """Counts and remembers."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def any_gone(self, now: float) -> bool:
        found: int = self._connection.execute(_ANY_GONE, (now,)).get
        return bool(found)

    def forget(self, now: float, limit: int) -> int:
        gone = 0
        for table, key in (
            ("finished", "queue, id, topic"),
            ("deduplication", "scope, key"),
            ("attempt", "queue, id"),
        ):
            self._connection.execute(
                f"""DELETE FROM {table} WHERE ({key}) IN (
                        SELECT {key} FROM {table} WHERE expires_at <= ? LIMIT ?)""",
                (now, limit),
            )
            gone += self._connection.changes()
        self._connection.execute(
            """DELETE FROM bucket WHERE name IN (
                   SELECT name FROM bucket WHERE at <= ? AND tokens >= 0 LIMIT ?)""",
            (now - FULL_AFTER, limit),
        )
        return gone + self._connection.changes()

    def remember(self, queue: int, keys: Sequence[tuple[str, str, float]], now: float) -> None:
        # As many old records go as two batches bring: the table cannot outgrow its window.
        self._connection.execute(
            """DELETE FROM finished WHERE (queue, id, topic) IN (
                   SELECT queue, id, topic FROM finished WHERE expires_at <= ?
                   ORDER BY expires_at LIMIT ?)""",
            (now, 2 * len(keys)),
        )
        self._connection.executemany(
            # Cheaper than to replace: mostly there is nothing.
            """INSERT INTO finished VALUES (?, ?, ?, ?)
               ON CONFLICT DO UPDATE SET expires_at = excluded.expires_at""",
            [(queue, id, topic, expires_at) for id, topic, expires_at in keys],
        )

    def remembered(
        self, queue: int, keys: Collection[tuple[str, str]], now: float
    ) -> set[tuple[str, str]]:
        return set(
            self._connection.execute(
                """SELECT f.id, f.topic FROM json_each(?2) j CROSS JOIN finished f
                   ON f.queue = ?1 AND f.id = j.value ->> 0 AND f.topic = j.value ->> 1
                   WHERE f.expires_at > ?3""",
                (queue, encode(list(keys)).decode(), now),
            )
        )

    def tally(self, queue: int, handled: int, dead_lettered: int) -> None:
        self._connection.execute(
            """UPDATE queue SET handled = handled + ?, dead_lettered = dead_lettered + ?
               WHERE id = ?""",
            (handled, dead_lettered, queue),
        )

    def counts(self, queues: Sequence[tuple[int, float]], now: float) -> list[Counted]:
        found = {
            queue: totals
            for queue, *totals in self._connection.execute(
                _TOTALS, (encode([queue for queue, _ in queues]).decode(),)
            )
        }
        counted = []
        for queue, sent_after in queues:
            total, *of_all_time = found[queue]
            held: _Held = (0, 0, 0, None, None)
            if total > MANY:
                held = self._count_many(queue, now, sent_after, total)
            elif total:
                held = self._count_few(queue, now, sent_after)
            counted.append(Counted(*held, *of_all_time))
        return counted

    def _count_few(self, queue: int, now: float, sent_after: float) -> _Held:
        *held, due, parked = self._connection.execute(
            f"""SELECT count(*) FILTER (WHERE visible_at <= ?2 OR visible_at = {PARKED}),
                      count(*) FILTER (WHERE visible_at > ?2 AND visible_at < {PARKED}
                                             AND receive_count > 0),
                      count(*) FILTER (WHERE visible_at > ?2 AND visible_at < {PARKED}
                                             AND receive_count = 0),
                      min(sent_at), min(visible_at) FILTER (WHERE visible_at <= ?2),
                      min(sent_at) FILTER (WHERE visible_at = {PARKED})
               FROM message WHERE queue = ?1 AND sent_at > ?3""",
            (queue, now, sent_after),
        ).get
        return *held, min((one for one in (due, parked) if one is not None), default=None)

    def _count_many(self, queue: int, now: float, sent_after: float, total: int) -> _Held:
        """As `_count_few` without a look at every row: the oldest is the one stored first, and
        none is past its retention while that one is not."""
        oldest: float | None = self._connection.execute(
            "SELECT sent_at FROM message WHERE queue = ? ORDER BY seq LIMIT 1", (queue,)
        ).get
        if oldest is None or oldest <= sent_after:
            return self._count_few(queue, now, sent_after)
        in_flight, delayed = self._connection.execute(
            f"""SELECT count(*) FILTER (WHERE receive_count > 0),
                      count(*) FILTER (WHERE receive_count = 0)
               FROM ({_HIDDEN})""",
            (queue, now),
        ).get
        due = [since for (since,) in self._connection.execute(_DUE, (queue, now))]
        return total - in_flight - delayed, in_flight, delayed, oldest, min(due, default=None)
