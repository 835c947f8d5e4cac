"""Removing rows, in SQL: settled ones, dropped ones, and what is past its retention."""

import logging
from collections.abc import Collection, Sequence

from taskflow.stores.postgres.lanes import Lanes
from taskflow.stores.postgres.session import Session
from taskflow.stores.row import Held

log = logging.getLogger("taskflow.store")

# $1 numbers, $2 receipts, $3 hidden at; of each that goes: $4 id, $5 topic, $6 until when it is
# remembered, $7 the queue.
_REMOVE = """
WITH u AS MATERIALIZED (
    SELECT * FROM unnest($1::int8[], $2::int8[], $4::text[], $5::text[], $6::float8[])
        AS v (seq, receipt, id, topic, expires_at)),
gone AS (
    DELETE FROM tf.message m USING u WHERE m.seq = u.seq
        AND (u.receipt = -1 AND m.receive_count > 0 OR (m.receipt & -3) = u.receipt)
        AND ($3::float8 IS NULL OR m.visible_at > $3)
    RETURNING m.seq, u.receipt, u.id, u.topic, u.expires_at),
p AS (DELETE FROM tf.payload WHERE seq = ANY (ARRAY(SELECT seq FROM gone))),
f AS (
    INSERT INTO tf.finished (queue, id, topic, expires_at)
    SELECT $7::int4, id, topic, max(expires_at) FROM gone WHERE id IS NOT NULL
    GROUP BY id, topic ORDER BY id, topic
    ON CONFLICT (queue, id, topic) DO UPDATE SET expires_at = excluded.expires_at)
SELECT seq, receipt FROM gone"""

_DROP = """
WITH gone AS (DELETE FROM tf.message WHERE seq = ANY ($1::int8[]) RETURNING seq),
p AS (DELETE FROM tf.payload WHERE seq = ANY ($1::int8[]))
SELECT seq FROM gone"""


class Removal:
    """Each removed row takes the body that is its alone with it."""

    def __init__(self, session: Session, lanes: Lanes) -> None:
        self._session = session
        self._lanes = lanes
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
        with self._lanes.locked(queue, seqs):
            values = (
                seqs,
                [one.receipt for one in held],
                hidden_at,
                [one and one[0] for one in remember],
                [one and one[1] for one in remember],
                [one and one[2] for one in remember],
                queue,
            )
            gone = set(self._session.write(_REMOVE, values))
        answers = []
        for one in held:  # the second of two that are the same finds it gone
            answers.append(one in gone)
            gone.discard(one)
        return answers

    def drop(self, queue: int, seqs: Collection[int]) -> int:
        return len(self._drop(queue, seqs)) if seqs else 0

    def _drop(self, queue: int, seqs: Collection[int]) -> list[int]:
        with self._lanes.locked(queue, seqs):
            gone = self._session.write(_DROP, (sorted(seqs),))
        return [seq for (seq,) in gone]

    def any_sent_before(self, queue: int, sent_before: float) -> bool:
        found = self._session.first(
            "SELECT sent_at FROM tf.payload WHERE queue::int8 = $1::int8 ORDER BY place LIMIT 1",
            (queue,),
        )
        return found is not None and found[0] <= sent_before

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
