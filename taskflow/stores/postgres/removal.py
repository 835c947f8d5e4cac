"""Removing rows, in SQL: settled ones, dropped ones, and what is past its retention."""

import logging
from collections.abc import Collection, Sequence

from taskflow.stores.postgres.columns import OF_ITS_OWN
from taskflow.stores.postgres.lanes import Lanes
from taskflow.stores.postgres.session import Session
from taskflow.stores.postgres.watermarks import Watermarks
from taskflow.stores.row import ANY, Held

log = logging.getLogger("taskflow.store")

# $1 numbers, $2 receipts, $3 hidden at; of each that goes: $4 id, $5 topic, $6 until when it is
# remembered, $7 the queue.
_REMOVE = f"""
WITH u AS MATERIALIZED (
    SELECT * FROM unnest($1::int8[], $4::text[], $5::text[], $6::float8[])
        AS v (seq, id, topic, expires_at)),
gone AS (
    DELETE FROM tf.message m WHERE m.seq = ANY ($1::int8[])
        AND ({OF_ITS_OWN} = -1 AND m.receive_count > 0 OR (m.receipt & -3) = {OF_ITS_OWN})
        AND ($3::float8 IS NULL OR m.visible_at > $3)
    RETURNING m.seq),
p AS (DELETE FROM tf.payload WHERE seq = ANY (ARRAY(SELECT seq FROM gone))),
f AS (
    INSERT INTO tf.finished (queue, id, topic, expires_at)
    SELECT $7::int4, u.id, u.topic, max(u.expires_at) FROM u
    WHERE u.id IS NOT NULL AND u.seq = ANY (ARRAY(SELECT seq FROM gone))
    GROUP BY u.id, u.topic ORDER BY u.id, u.topic
    ON CONFLICT (queue, id, topic) DO UPDATE SET expires_at = excluded.expires_at)
SELECT seq FROM gone"""

# As most are: all under one receipt, which is $2, and remembered for as long, until $4.
_GONE = """
WITH gone AS (
    DELETE FROM tf.message m WHERE m.seq = ANY ($1::int8[]) AND (m.receipt & -3) = $2::int8
        AND ($3::float8 IS NULL OR m.visible_at > $3)
    RETURNING m.seq),
p AS (DELETE FROM tf.payload WHERE seq = ANY (ARRAY(SELECT seq FROM gone)) {returning})"""
_REMOVE_ALIKE = f"""{_GONE.format(returning="")}
SELECT seq FROM gone"""
_FINISH_ALIKE = f"""{_GONE.format(returning="RETURNING queue, id, topic")},
f AS (
    INSERT INTO tf.finished (queue, id, topic, expires_at)
    SELECT queue, id, topic, $4::float8 FROM p ORDER BY id, topic
    ON CONFLICT (queue, id, topic) DO UPDATE SET expires_at = excluded.expires_at)
SELECT seq FROM gone"""

_FIRST_STORED = """
SELECT n.last_value, p.place, p.sent_at FROM tf.number n LEFT JOIN LATERAL (
    SELECT x.place, x.sent_at FROM tf.payload x WHERE x.queue::int8 = $1::int8
      AND x.place >= $2::int8 ORDER BY x.place LIMIT 1) p ON true"""

_DROP = """
WITH gone AS (DELETE FROM tf.message WHERE seq = ANY ($1::int8[]) RETURNING seq),
p AS (DELETE FROM tf.payload WHERE seq = ANY ($1::int8[]))
SELECT seq FROM gone"""


class Removal:
    """Each removed row takes the body that is its alone with it."""

    def __init__(self, session: Session, lanes: Lanes, watermarks: Watermarks) -> None:
        self._session = session
        self._lanes = lanes
        self._watermarks = watermarks
        self._complained: set[int] = set()

    def remove(
        self,
        queue: int,
        held: Sequence[Held],
        hidden_at: float | None,
        remember: Sequence[tuple[str, str, float] | None],
        now: float,
    ) -> list[bool]:
        if not held:
            return []
        seqs = [one.seq for one in held]
        if len(set(seqs)) < len(seqs):  # each of two receipts of one message has its own answer
            return [
                self.remove(queue, [one], hidden_at, [what], now)[0]
                for one, what in zip(held, remember, strict=True)
            ]
        with self._lanes.locked(queue, seqs):
            gone = {seq for (seq,) in self._remove(queue, held, seqs, hidden_at, remember)}
        return [seq in gone for seq in seqs]

    def _remove(
        self,
        queue: int,
        held: Sequence[Held],
        seqs: list[int],
        hidden_at: float | None,
        remember: Sequence[tuple[str, str, float] | None],
    ) -> list[tuple[int]]:
        receipts = [one.receipt for one in held]
        until = [one and one[2] for one in remember]
        alike = receipts.count(receipts[0]) == until.count(until[0]) == len(held)
        if not alike or receipts[0] == ANY:
            ids, topics = ([one and one[at] for one in remember] for at in (0, 1))
            values = (seqs, receipts, hidden_at, ids, topics, until, queue)
            return self._session.write(_REMOVE, values)
        if until[0] is None:
            return self._session.write(_REMOVE_ALIKE, (seqs, receipts[0], hidden_at))
        return self._session.write(_FINISH_ALIKE, (seqs, receipts[0], hidden_at, until[0]))

    def drop(self, queue: int, seqs: Collection[int]) -> int:
        return len(self._drop(queue, seqs)) if seqs else 0

    def _drop(self, queue: int, seqs: Collection[int]) -> list[int]:
        with self._lanes.locked(queue, seqs):
            gone = self._session.write(_DROP, (sorted(seqs),))
        return [seq for (seq,) in gone]

    def any_sent_before(self, queue: int, sent_before: float) -> bool:
        low = self._watermarks.stored_from(queue)
        last, place, sent_at = self._session.first(_FIRST_STORED, (queue, low))
        self._watermarks.stored(queue, last if place is None else place, low)
        return place is not None and sent_at <= sent_before

    def expire(self, queue: int, sent_before: float) -> None:
        if self.any_sent_before(queue, sent_before):
            front = self._session.ask(
                """SELECT seq, sent_at FROM tf.payload WHERE queue::int8 = $1::int8
                   ORDER BY place LIMIT 1000""",
                (queue,),
            )
            self.drop_old(queue, [seq for seq, sent_at in front if sent_at <= sent_before])

    def drop_old(self, queue: int, seqs: Collection[int]) -> None:
        gone = self._drop(queue, seqs) if seqs else []
        if not gone:
            return
        found = self._session.write(
            """UPDATE tf.total t SET expired = expired + $1::int8 FROM tf.queue q
               WHERE t.queue = $2::int8 AND q.id = t.queue RETURNING q.name""",
            (len(gone), queue),
        )
        if found and queue not in self._complained:
            self._complained.add(queue)
            log.warning(
                "queue=%s drops messages that nobody handled within its retention; "
                "`taskflow queues` counts them",
                found[0][0],
            )
