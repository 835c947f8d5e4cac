"""The store verbs that keep books, in SQL: what is finished, what has ended, how much there is."""

from collections.abc import Collection, Sequence
from typing import Any

from taskflow.stores.letters import HOUR, TREND_KEPT
from taskflow.stores.postgres.columns import AT_LEVEL, PARKED
from taskflow.stores.postgres.declared import DROP_ALL
from taskflow.stores.postgres.session import Session
from taskflow.stores.postgres.tally_book import TallyBook
from taskflow.stores.row import Counted

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
MANY = 10_000  # rows: counting them one by one would take its time
_NOTHING = (0, 0, 0, None, None)
_TOTALS = """
SELECT u.queue, p.held, o.sent_at, coalesce(t.handled, 0), coalesce(t.dead_lettered, 0),
       coalesce(t.expired, 0)
FROM unnest($1::int4[]) u (queue)
CROSS JOIN LATERAL (SELECT count(*) AS held FROM (
    SELECT 1 FROM tf.payload x WHERE x.queue::int8 = u.queue::int8 ORDER BY x.place OFFSET 0) y) p
LEFT JOIN LATERAL (SELECT x.sent_at FROM tf.payload x WHERE x.queue::int8 = u.queue::int8
                   ORDER BY x.place LIMIT 1) o ON true
LEFT JOIN tf.total t ON t.queue = u.queue"""
_ALL, _HIDDEN = (
    " UNION ALL ".join(
        f"SELECT m.visible_at, m.receive_count, m.sent_at FROM tf.message m "
        f"WHERE m.queue = u.queue AND {level}{more}"
        for level in AT_LEVEL.values()
    )
    for more in ("", f" AND m.visible_at > $2::float8 AND m.visible_at < {PARKED}")
)
_FEW = f"""
SELECT u.queue, c.* FROM unnest($1::int4[], $2::float8[]) u (queue, sent_after)
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE visible_at <= $3::float8 OR visible_at = {PARKED}),
           count(*) FILTER (WHERE visible_at > $3::float8 AND visible_at < {PARKED}
                                  AND receive_count > 0),
           count(*) FILTER (WHERE visible_at > $3::float8 AND visible_at < {PARKED}
                                  AND receive_count = 0),
           min(sent_at),
           least(min(visible_at) FILTER (WHERE visible_at <= $3::float8),
                 min(sent_at) FILTER (WHERE visible_at = {PARKED}))
    FROM ({_ALL}) m WHERE m.sent_at > u.sent_after) c"""
_DUE = " UNION ALL ".join(
    f"SELECT * FROM (SELECT {since} AS since FROM tf.message m "
    f"WHERE m.queue = u.queue AND {level} AND {due} LIMIT 1) x"
    for level in AT_LEVEL.values()
    for since, due in (
        ("m.visible_at", "m.visible_at <= $2::float8 ORDER BY m.visible_at, m.place"),
        ("m.sent_at", f"m.visible_at = {PARKED} ORDER BY m.place"),
    )
)
_MANY = f"""
SELECT u.queue, c.*, d.due FROM unnest($1::int4[]) u (queue)
CROSS JOIN LATERAL (SELECT min(since) AS due FROM ({_DUE}) y) d
CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE receive_count > 0),
                           count(*) FILTER (WHERE receive_count = 0) FROM ({_HIDDEN}) m) c"""
"""As `_FEW` without a look at every row: the oldest is the one stored first, and none is past its
retention while that one is not."""


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

    def counts(self, queues: Sequence[tuple[int, float]], now: float) -> list[Counted]:
        sent_after = dict(queues)
        numbers = list(sent_after)
        totals = {queue: found for queue, *found in self._session.ask(_TOTALS, (numbers,))}
        many = [
            queue
            for queue, (held, oldest, *_) in totals.items()
            if held > MANY and oldest > sent_after[queue]
        ]
        few = [queue for queue, (held, *_) in totals.items() if held and queue not in many]
        holding: dict[int, Sequence[Any]] = {}
        if few:
            values = few, [sent_after[queue] for queue in few], now
            holding = {queue: found for queue, *found in self._session.ask(_FEW, values)}
        if many:
            for queue, in_flight, delayed, due in self._session.ask(_MANY, (many, now)):
                held, oldest, *_ = totals[queue]
                visible = max(0, held - in_flight - delayed)
                holding[queue] = visible, in_flight, delayed, oldest, due
        counted = []
        for queue in numbers:
            _, _, handled, dead, expired = totals[queue]
            more_handled, more_dead = self._tallies.of(queue)  # not written down yet
            visible, in_flight, delayed, oldest, due = holding.get(queue, _NOTHING)
            of_all_time = handled + more_handled, dead + more_dead, expired
            counted.append(Counted(visible, in_flight, delayed, oldest, due, *of_all_time))
        return counted
