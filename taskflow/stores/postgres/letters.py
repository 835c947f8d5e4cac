"""Dead letters by cause, in SQL: noted as they come; a trigger of their payload sees them go."""

from collections.abc import Collection

from taskflow.stores.letters import HOUR, TREND_KEPT
from taskflow.stores.postgres.session import Session
from taskflow.stores.row import CauseEnds, CauseRow
from taskflow.wire.failure_cause import read_cause

# $1 queue, $2 name, $3 source, $4 handler, $5 error, $6 place, $7 reason
_MAKE = """
INSERT INTO tf.cause (queue, name, source, handler, error, place, reason)
SELECT $1::int4, $2, $3, $4, $5, $6, $7
WHERE NOT EXISTS (SELECT 1 FROM tf.cause WHERE queue = $1::int4 AND name = $2)
ON CONFLICT DO NOTHING"""
_FIND = "SELECT id FROM tf.cause WHERE queue = $1::int4 AND name = $2 FOR KEY SHARE"
# $1 number, $2 queue, $3 cause, $4 died at, $5 attempts, $6 hour
_NOTE = """
WITH l AS (
    INSERT INTO tf.letter (seq, queue, cause, died_at, attempts)
    VALUES ($1::int8, $2::int4, $3::int4, $4::float8, $5::int4) ON CONFLICT DO NOTHING
    RETURNING cause)
INSERT INTO tf.cause_change (cause, change, hour) SELECT cause, 1, $6::int4 FROM l"""
_CAUSES = """
SELECT * FROM (
    SELECT c.id, c.queue, c.name, c.source, c.handler, c.error, c.place, c.reason,
           (c.count + coalesce((SELECT sum(x.change) FROM tf.cause_change x WHERE x.cause = c.id),
                               0))::int8 AS count
    FROM tf.cause c WHERE $1::int4[] IS NULL OR c.queue = ANY ($1::int4[])) c
WHERE count > 0 ORDER BY count DESC, id"""
_END = """
SELECT l.died_at, p.id FROM (SELECT * FROM tf.letter x WHERE x.cause = $1::int4
                             ORDER BY x.seq {order} LIMIT 1) l
CROSS JOIN LATERAL (SELECT * FROM tf.payload x WHERE x.seq = l.seq LIMIT 1) p"""
_TREND = """
SELECT hour, sum(count)::int8 FROM (
    SELECT hour, count FROM tf.cause_hour WHERE hour >= $2::int4 AND cause = $1::int4
    UNION ALL
    SELECT hour, change FROM tf.cause_change WHERE cause = $1::int4 AND hour >= $2::int4) x
GROUP BY hour"""
_ADD_UP = """
WITH gone AS (
    DELETE FROM tf.cause_change WHERE number = ANY (ARRAY(
        SELECT number FROM tf.cause_change ORDER BY number LIMIT 10000 FOR UPDATE SKIP LOCKED))
    RETURNING cause, change, hour),
counted AS (
    UPDATE tf.cause c SET count = c.count + s.change
    FROM (SELECT cause, sum(change) AS change FROM gone GROUP BY cause) s WHERE c.id = s.cause)
INSERT INTO tf.cause_hour AS h (hour, cause, count)
SELECT hour, cause, count(*) FROM gone WHERE hour IS NOT NULL GROUP BY hour, cause
ON CONFLICT (hour, cause) DO UPDATE SET count = h.count + excluded.count"""
_DROP_HOURS = "DELETE FROM tf.cause_hour WHERE hour < $1::int4"
_DROP_CAUSES = """
DELETE FROM tf.cause WHERE ctid = ANY (ARRAY(
    SELECT c.ctid FROM tf.cause c WHERE c.count = 0
      AND NOT EXISTS (SELECT 1 FROM tf.cause_hour h WHERE h.cause = c.id)
      AND NOT EXISTS (SELECT 1 FROM tf.cause_change x WHERE x.cause = c.id)
      AND NOT EXISTS (SELECT 1 FROM tf.letter l WHERE l.cause = c.id)
    FOR UPDATE SKIP LOCKED))"""


class PostgresLetters:
    """`Letters` over one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def note(
        self,
        queue: int,
        seq: int,
        source: int,
        attributes: str,
        died_at: float,
        receives: int,
    ) -> None:
        """A row of this number is a letter, which died of what its attributes say."""
        found = read_cause(attributes)
        origin = self._session.first("SELECT name FROM tf.queue WHERE id = $1::int4", (source,))
        came_from = origin[0] if origin else ""
        name = found.name(came_from)
        parts = (found.handler, found.error, found.place, found.reason)
        cause = None
        while cause is None:  # one that nothing spoke of may go in this moment
            self._session.change(_MAKE, (queue, name, came_from, *parts))
            cause = self._session.first(_FIND, (queue, name))
        attempts = receives if found.attempts is None else found.attempts
        hour = int(died_at // HOUR)
        self._session.change(_NOTE, (seq, queue, cause[0], died_at, attempts, hour))

    def drop_all(self, queue: int) -> None:
        """Forget the causes of a queue, whose letters are gone."""
        of_queue = "cause IN (SELECT id FROM tf.cause WHERE queue = $1::int4)"
        for table in ("letter", "cause_change", "cause_hour"):
            self._session.change(f"DELETE FROM tf.{table} WHERE {of_queue}", (queue,))
        self._session.change("DELETE FROM tf.cause WHERE queue = $1::int4", (queue,))

    def causes(self, queues: Collection[int] | None) -> list[CauseRow]:
        chosen = None if queues is None else list(queues)
        return [CauseRow._make(found) for found in self._session.ask(_CAUSES, (chosen,))]

    def ends(self, cause: int, from_hour: int) -> CauseEnds | None:
        first = self._session.first(_END.format(order=""), (cause,))
        last = self._session.first(_END.format(order="DESC"), (cause,))
        if first is None or last is None:
            return None
        trend = dict(self._session.ask(_TREND, (cause, from_hour)))
        return CauseEnds(first[0], last[0], last[1], trend)

    def forget(self, now: float) -> None:
        self._session.change(_ADD_UP)
        if self._session.change(_DROP_HOURS, (int(now // HOUR) - TREND_KEPT,)):
            self._session.change(_DROP_CAUSES)
