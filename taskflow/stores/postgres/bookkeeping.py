"""The store verbs that keep books, in SQL: what is finished, what has ended, how much there is."""

from collections.abc import Collection

from taskflow.stores.letters import HOUR, TREND_KEPT
from taskflow.stores.postgres.columns import AT_LEVEL, PARKED
from taskflow.stores.postgres.declared import DROP_ALL
from taskflow.stores.postgres.session import Session
from taskflow.stores.postgres.tally_book import TallyBook

FULL_AFTER = 7 * 86400.0
"""Seconds after which a token bucket without debts is taken for full, as a new one is."""
_ENDING = (
    *("record.expires_at", "holding.until", "applied.expires_at"),
    *("finished.expires_at", "deduplication.expires_at", "attempt.expires_at"),
)
_ANY_GONE = (
    "SELECT EXISTS (SELECT 1 FROM tf.shared_body) OR EXISTS (SELECT 1 FROM tf.cause_change) OR "
    f"EXISTS (SELECT 1 FROM tf.cause_hour "
    f"WHERE hour < $1::float8 / {HOUR} - {TREND_KEPT + 1}) OR "
    f"EXISTS (SELECT 1 FROM tf.bucket WHERE at <= $1::float8 - {FULL_AFTER} AND tokens >= 0) OR "
    + " OR ".join(
        f"EXISTS (SELECT 1 FROM tf.{column.partition('.')[0]} x "
        f"WHERE x.{column.partition('.')[2]} <= $1::float8)"
        for column in _ENDING
    )
)
_HIDDEN = " UNION ALL ".join(
    f"SELECT m.receive_count FROM tf.message m WHERE m.queue = $1::int8 AND {level} "
    f"AND m.visible_at > $2::float8 AND m.visible_at < {PARKED}"
    for level in AT_LEVEL.values()
)
_OF_NO_QUEUE = "SELECT queue FROM ({}) x WHERE NOT EXISTS ({})".format(
    " UNION ".join(
        f"""(WITH RECURSIVE there (queue) AS (
                 (SELECT {queue} AS queue FROM tf.{table} ORDER BY {queue} LIMIT 1)
                 UNION ALL
                 SELECT (SELECT {queue} FROM tf.{table} WHERE {queue} > there.queue
                         ORDER BY {queue} LIMIT 1)
                 FROM there WHERE there.queue IS NOT NULL)
             SELECT queue FROM there WHERE queue IS NOT NULL)"""
        for table, queue in (
            ("payload", "payload.queue::int8"),
            ("lane", "lane.queue"),
            ("finished", "finished.queue"),
        )
    ),
    "SELECT 1 FROM tf.queue q WHERE q.id = x.queue",
)
"""From queue to queue in an index: of those that hold something, they that are not there."""
_ALL = " UNION ALL ".join(
    f"SELECT m.visible_at, m.receive_count, m.sent_at FROM tf.message m "
    f"WHERE m.queue = $1::int8 AND {level}"
    for level in AT_LEVEL.values()
)
MANY = 10_000  # rows: counting them one by one would take its time


class Books:
    """Counts and remembers."""

    def __init__(self, session: Session, tallies: TallyBook) -> None:
        self._session = session
        self._tallies = tallies
        self._swept = 0  # the last shared body looked at

    def any_gone(self, now: float) -> bool:
        return bool(self._session.first(_ANY_GONE, (now,))[0])

    def forget(self, now: float, limit: int) -> int:
        gone = sum(
            self._session.change(
                f"""DELETE FROM tf.{table} WHERE ctid = ANY (ARRAY(
                        SELECT ctid FROM tf.{table} WHERE {condition}
                        LIMIT $2::int8 FOR UPDATE SKIP LOCKED))""",
                (now, limit),
            )
            for table, condition in (
                ("finished", "expires_at <= $1::float8"),
                ("deduplication", "expires_at <= $1::float8"),
                ("attempt", "expires_at <= $1::float8"),
                ("bucket", f"at <= $1::float8 - {FULL_AFTER} AND tokens >= 0"),
            )
        )
        for (queue,) in self._session.ask(_OF_NO_QUEUE):
            # Sent or finished in the moment in which it was deleted.
            gone += self._session.change(DROP_ALL, (queue,))
            for table in ("lane", "finished"):
                gone += self._session.change(
                    f"DELETE FROM tf.{table} WHERE queue = $1::int4", (queue,)
                )
        return gone

    def sweep(self, limit: int) -> int:
        """As `Rows.sweep`. It goes round and round, so that what is held long keeps nobody from its
        turn."""
        looked_at = self._session.ask(
            """SELECT number FROM tf.shared_body WHERE number > $1::int8
               ORDER BY number LIMIT $2::int8""",
            (self._swept, limit),
        )
        numbers = [number for (number,) in looked_at]
        self._swept = numbers[-1] if len(numbers) == limit else 0
        if not numbers:
            return 0
        return self._session.change(
            """DELETE FROM tf.shared_body s WHERE number = ANY ($1::int8[])
               AND (SELECT p.seq FROM tf.payload p WHERE p.shared = s.number LIMIT 1) IS NULL""",
            (numbers,),
        )

    def remembered(
        self, queue: int, keys: Collection[tuple[str, str]], now: float
    ) -> set[tuple[str, str]]:
        return set(
            self._session.ask(
                """SELECT f.id, f.topic FROM unnest($2::text[], $3::text[]) u (id, topic)
                   CROSS JOIN LATERAL (SELECT * FROM tf.finished x WHERE x.queue = $1::int4
                                       AND x.id = u.id AND x.topic = u.topic LIMIT 1) f
                   WHERE f.expires_at > $4::float8""",
                (queue, [id for id, _ in keys], [topic for _, topic in keys], now),
            )
        )

    def tally(self, queue: int, handled: int, dead_lettered: int) -> None:
        self._session.tallies.count(queue, handled, dead_lettered)

    def counts(
        self, queue: int, now: float, sent_after: float
    ) -> tuple[int, int, int, float | None, int, int, int]:
        (total,) = self._session.first(
            """SELECT count(*) FROM (SELECT 1 FROM tf.payload WHERE queue::int8 = $1::int8
                                     ORDER BY place OFFSET 0) x""",
            (queue,),
        )
        if total > MANY:
            visible, in_flight, delayed, oldest = self._count_many(queue, now, sent_after, total)
        else:
            visible, in_flight, delayed, oldest = self._count_few(queue, now, sent_after)
        handled, dead_lettered, expired = self._session.first(
            "SELECT handled, dead_lettered, expired FROM tf.total WHERE queue = $1::int8", (queue,)
        ) or (0, 0, 0)
        more_handled, more_dead = self._tallies.of(queue)  # not written down yet
        handled, dead_lettered = handled + more_handled, dead_lettered + more_dead
        return visible, in_flight, delayed, oldest, handled, dead_lettered, expired

    def _count_few(
        self, queue: int, now: float, sent_after: float
    ) -> tuple[int, int, int, float | None]:
        found: tuple[int, int, int, float | None] = self._session.first(
            f"""SELECT count(*) FILTER (WHERE visible_at <= $2::float8 OR visible_at = {PARKED}),
                       count(*) FILTER (WHERE visible_at > $2::float8 AND visible_at < {PARKED}
                                              AND receive_count > 0),
                       count(*) FILTER (WHERE visible_at > $2::float8 AND visible_at < {PARKED}
                                              AND receive_count = 0),
                       min(sent_at)
                FROM ({_ALL}) m WHERE sent_at > $3::float8""",
            (queue, now, sent_after),
        )
        return found

    def _count_many(
        self, queue: int, now: float, sent_after: float, total: int
    ) -> tuple[int, int, int, float | None]:
        """As `_count_few` without a look at every row: the oldest is the one stored first, and
        none is past its retention while that one is not."""
        found = self._session.first(
            "SELECT sent_at FROM tf.payload WHERE queue::int8 = $1::int8 ORDER BY place LIMIT 1",
            (queue,),
        )
        if found is None or found[0] <= sent_after:
            return self._count_few(queue, now, sent_after)
        in_flight, delayed = self._session.first(
            f"""SELECT count(*) FILTER (WHERE receive_count > 0),
                       count(*) FILTER (WHERE receive_count = 0)
                FROM ({_HIDDEN}) x""",
            (queue, now),
        )
        return max(0, total - in_flight - delayed), in_flight, delayed, found[0]
