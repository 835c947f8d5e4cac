"""What FIFO queues and topics know within five minutes, in SQL: messages, and receives."""

from collections.abc import Sequence

from taskflow.stores.postgres.due_rows import DueRows
from taskflow.stores.postgres.locks import lock_names
from taskflow.stores.postgres.session import Session
from taskflow.stores.row import Row


class Deduplications:
    """Deduplication ids of messages, and attempt ids of receives."""

    def __init__(self, session: Session, due: DueRows) -> None:
        self._session = session
        self._due = due

    def deduplicated(
        self, keys: Sequence[tuple[str, str]], now: float
    ) -> dict[tuple[str, str], tuple[str, int]]:
        if not keys:
            return {}
        owner = keys[0][0].partition("/")[0]
        lock_names(
            self._session, f"deduplication/{owner}", [f"{scope} {key}" for scope, key in keys]
        )
        found = self._session.ask(
            """SELECT d.scope, d.key, d.id, d.seq FROM unnest($1::text[], $2::text[]) u (scope, key)
               CROSS JOIN LATERAL (SELECT * FROM tf.deduplication x
                                   WHERE x.scope = u.scope AND x.key = u.key LIMIT 1) d
               WHERE d.expires_at > $3::float8""",
            ([scope for scope, _ in keys], [key for _, key in keys], now),
        )
        return {(scope, key): (id, seq) for scope, key, id, seq in found}

    def deduplicate(
        self, entries: Sequence[tuple[str, str, str, int]], expires_at: float, now: float
    ) -> None:
        scopes, keys, ids, seqs = (list(one) for one in zip(*entries, strict=True))
        self._session.change(
            """INSERT INTO tf.deduplication (scope, key, id, seq, expires_at)
               SELECT scope, key, id, seq, $5::float8
               FROM unnest($1::text[], $2::text[], $3::text[], $4::int8[]) u (scope, key, id, seq)
               ON CONFLICT (scope, key) DO UPDATE
               SET id = excluded.id, seq = excluded.seq, expires_at = excluded.expires_at""",
            (scopes, keys, ids, seqs, expires_at),
        )

    def attempted(self, queue: int, attempt: str, now: float) -> tuple[int, list[Row]] | None:
        lock_names(self._session, f"attempt/{queue}", [attempt])
        found = self._session.first(
            """SELECT receipt, seqs, until FROM tf.attempt
               WHERE queue = $1::int4 AND id = $2 AND expires_at > $3::float8""",
            (queue, attempt, now),
        )
        if found is None:
            return None
        receipt, seqs, until = found
        if until <= now:
            return None
        held = self._session.ask(
            """SELECT 1 FROM tf.message WHERE seq = ANY ($1::int8[]) AND receipt = $2::int8
               AND visible_at = $3::float8 ORDER BY seq FOR UPDATE""",
            (seqs, receipt, until),
        )
        return (receipt, self._due.by_number(seqs)) if len(held) == len(seqs) else None

    def remember_attempt(
        self,
        queue: int,
        attempt: str,
        receipt: int,
        seqs: Sequence[int],
        until: float,
        expires_at: float,
        now: float,
    ) -> None:
        self._session.change(
            """INSERT INTO tf.attempt VALUES
               ($1::int4, $2, $3::int8, $4::int8[], $5::float8, $6::float8)
               ON CONFLICT (queue, id) DO UPDATE
               SET receipt = excluded.receipt, seqs = excluded.seqs, until = excluded.until,
                   expires_at = excluded.expires_at""",
            (queue, attempt, receipt, list(seqs), until, expires_at),
        )
