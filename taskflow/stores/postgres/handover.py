"""What leaves this store for another one and comes in from one, in SQL."""

from collections.abc import Collection, Sequence

import msgspec

from taskflow.broker.record import Record
from taskflow.stores.message_columns import read_extra
from taskflow.stores.postgres.columns import PARKED, in_hash
from taskflow.stores.postgres.due_rows import DueRows
from taskflow.stores.postgres.lanes import Lanes
from taskflow.stores.postgres.letters import PostgresLetters
from taskflow.stores.postgres.session import Session
from taskflow.stores.row import PARKED_AT, QueueRow, Row

# $1 queue, $2 stamp, then lists with an entry for each row.
_ADD = f"""
WITH u AS MATERIALIZED (
    SELECT *, nextval('tf.number') AS n FROM (
        SELECT * FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                             $8::float8[], $9::float8[], $10::int4[], $11::float8[], $12::int8[],
                             $13::int4[], $14::text[], $15::text[], $16::int2[], $17::text[])
            WITH ORDINALITY
            AS v (id, topic, body, attributes, extra, sent_at, visible_at, receive_count,
                  first_received_at, receipt, source, lane, tenant, level, slot, ord)
        ORDER BY ord) w),
p AS (
    INSERT INTO tf.payload (seq, place, sent_at, queue, source, id, topic, body, attributes, extra)
    SELECT n, n, sent_at, $1::int4, source, id, topic, body, attributes, extra
    FROM u WHERE (SELECT stamp FROM tf.declared) = $2::int8 ORDER BY id, topic
    ON CONFLICT (queue, id, topic) DO NOTHING RETURNING seq),
m AS (
    INSERT INTO tf.message (seq, place, visible_at, sent_at, first_received_at, receipt, queue,
                            receive_count, level, lane, tenant, slot)
    SELECT u.n, u.n, u.visible_at, u.sent_at, u.first_received_at, u.receipt, $1::int4,
           u.receive_count, u.level, u.lane, u.tenant, u.slot
    FROM u WHERE {in_hash("u.n", "SELECT seq FROM p")})
SELECT d.stamp, r.ord, r.n FROM (SELECT stamp FROM tf.declared LIMIT 1) d
LEFT JOIN (SELECT ord, n FROM u WHERE source IS NOT NULL
           AND {in_hash("u.n", "SELECT seq FROM p")}) r ON true"""

_FIELDS = Record.__struct_fields__
_TYPES = ("text", "text", "int8", *["text"] * 4, *["float8"] * 2, "int8", *["float8"] * 2)
_RESTORE = f"""
INSERT INTO tf.record ({", ".join(_FIELDS)})
SELECT {", ".join(_FIELDS)} FROM unnest({
    ", ".join(f"${at}::{kind}[]" for at, kind in enumerate(_TYPES, 1))
}) WITH ORDINALITY u ({", ".join(_FIELDS)}, ord) ORDER BY ord
ON CONFLICT (kind, key) DO UPDATE SET {
    ", ".join(f"{name} = excluded.{name}" for name in _FIELDS[2:])
}"""


class PostgresHandover:
    """`HandoverRows` over one session."""

    def __init__(
        self, session: Session, due: DueRows, lanes: Lanes, letters: PostgresLetters
    ) -> None:
        self._session = session
        self._due = due
        self._lanes = lanes
        self._letters = letters

    def page(
        self, queue: QueueRow, after: int, limit: int, now: float
    ) -> tuple[list[Row], int | None]:
        found = self._session.ask(
            f"""SELECT seq FROM tf.payload WHERE queue::int8 = $1::int8 AND place > $2::int8
                ORDER BY place LIMIT {limit}""",
            (queue.id, after),
        )
        seqs = [seq for (seq,) in found]
        if not seqs:
            return [], None
        if queue.fifo:  # their groups are the locks
            self._lanes.lock(queue.id, seqs)
            return self._due.by_number(seqs), seqs[-1]
        return self._due.by_number(seqs, PARKED_AT), seqs[-1]

    def hide(self, queue: int, seqs: Collection[int], receipt: int, until: float) -> None:
        with self._lanes.locked(queue, seqs):
            self._session.change(
                f"""UPDATE tf.message SET receipt = $1::int8, visible_at =
                        CASE WHEN visible_at < {PARKED} THEN greatest(visible_at, $2::float8)
                             ELSE $2::float8 END
                    WHERE seq = ANY ($3::int8[])""",
                (receipt, until, sorted(seqs)),
            )

    def add(self, queue: QueueRow, rows: Sequence[Row], now: float) -> None:
        entries, groups = [], set()
        for row in rows:
            group = read_extra(row.extra).group
            lane, tenant = (group, None) if queue.fifo else (None, group)
            if lane is not None:
                groups.add((queue.id, lane))
            entries.append(
                (
                    *(row.id, row.topic, row.body, row.attributes, row.extra, row.sent_at),
                    *(row.visible_at, row.receive_count, row.first_received_at, row.receipt),
                    *(row.source, lane, tenant, row.level, row.slot),
                )
            )
        if not entries:
            return
        columns = [list(column) for column in zip(*entries, strict=True)]
        with self._session.together():
            self._lanes.lock_or_make(groups)
            added = self._session.write(_ADD, (queue.id, self._session.stamp, *columns))
            self._session.prove(added[0][0])
            for _, at, seq in added:
                if at is not None and (letter := rows[at - 1]).source is not None:
                    before = read_extra(letter.extra).received
                    self._letters.note(queue.id, seq, letter.source, letter.attributes, now, before)
            self._lanes.refresh_many(groups)

    def finished(
        self, queue: int, last: tuple[str, str], limit: int, now: float
    ) -> list[tuple[str, str, float]]:
        return self._session.ask(
            f"""SELECT id, topic, expires_at FROM tf.finished
                WHERE queue = $1::int4 AND (id, topic) > ($2, $3) AND expires_at > $4::float8
                ORDER BY id, topic LIMIT {limit}""",
            (queue, *last, now),
        )

    def remember(self, queue: int, entries: Sequence[tuple[str, str, float]]) -> None:
        ids, topics, times = (list(column) for column in zip(*sorted(entries), strict=True))
        self._session.change(
            """INSERT INTO tf.finished (queue, id, topic, expires_at)
               SELECT $1::int4, id, topic, expires_at
               FROM unnest($2::text[], $3::text[], $4::float8[]) u (id, topic, expires_at)
               ON CONFLICT (queue, id, topic) DO UPDATE
               SET expires_at = greatest(finished.expires_at, excluded.expires_at)""",
            (queue, ids, topics, times),
        )

    def deduplications(
        self, owner: str, last: tuple[str, str], limit: int, now: float
    ) -> list[tuple[str, str, str, int, float]]:
        return self._session.ask(
            f"""SELECT scope, key, id, seq, expires_at FROM tf.deduplication
                WHERE (scope, key) > ($2, $3) AND scope < $1 || '0' AND expires_at > $4::float8
                  AND (scope = $1 OR starts_with(scope, $1 || '/'))
                ORDER BY scope, key LIMIT {limit}""",
            (owner, *last, now),
        )

    def deduplicate(self, entries: Sequence[tuple[str, str, str, int, float]], now: float) -> None:
        columns = [list(column) for column in zip(*sorted(entries), strict=True)]
        self._session.change(
            """INSERT INTO tf.deduplication (scope, key, id, seq, expires_at)
               SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int8[], $5::float8[])
               ON CONFLICT (scope, key) DO UPDATE
               SET id = excluded.id, seq = excluded.seq, expires_at = excluded.expires_at
               WHERE deduplication.expires_at <= $6::float8""",
            (*columns, now),
        )

    def had(self, queue: QueueRow, seqs: Collection[int]) -> list[Row]:
        in_order = sorted(seqs)
        if not in_order:
            return []
        if queue.fifo:  # their groups are the locks
            self._lanes.lock(queue.id, in_order)
            return self._due.by_number(in_order)
        return self._due.by_number(in_order, PARKED_AT)

    def before(self, queue: int, lane: str, seq: int, most: int) -> int:
        (found,) = self._session.first(
            """SELECT count(*) FROM (
                   SELECT 1 FROM tf.message m WHERE m.queue = $1::int4 AND m.lane = $2
                     AND m.place < (SELECT x.place FROM tf.message x WHERE x.seq = $3::int8)
                   LIMIT $4::int8) y""",
            (queue, lane, seq, most),
        )
        return int(found)

    def holdings(self, keys: Collection[str], now: float) -> dict[str, tuple[str, float | None]]:
        found = self._session.ask(
            """SELECT key, holder, until FROM tf.holding
               WHERE key = ANY ($1::text[]) AND (until IS NULL OR until > $2::float8)""",
            (list(keys), now),
        )
        return {key: (holder, until) for key, holder, until in found}

    def restore(self, records: Sequence[Record]) -> None:
        if not records:
            return
        columns = [list(one) for one in zip(*map(msgspec.structs.astuple, records), strict=True)]
        self._session.change(_RESTORE, columns)

    def forget(self, records: Sequence[Record]) -> None:
        self._session.change(
            """DELETE FROM tf.record r USING unnest($1::text[], $2::text[]) u (kind, key)
               WHERE r.kind = u.kind AND r.key = u.key""",
            ([one.kind for one in records], [one.key for one in records]),
        )
