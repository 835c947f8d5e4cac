"""The store verbs for records, keys and applied changes, in SQL."""

from collections.abc import Collection, Sequence
from typing import Any

from taskflow.broker.change import Add, Put, Remove
from taskflow.broker.record import Record, RecordQuery
from taskflow.errors import KeyTaken, VersionConflict
from taskflow.stores.postgres.locks import lock_names
from taskflow.stores.postgres.session import Session

_FIELDS = Record.__struct_fields__
_COLUMNS = ", ".join(f"r.{name}" for name in _FIELDS)
# $1 kind, key, value, parent, $5 label, state, due_at, expires_at, expected, $10 now, fresh version
_PUT = """
INSERT INTO tf.record AS r (kind, key, version, value, parent, label, state, due_at, expires_at,
                            created_at, changed_at)
VALUES ($1, $2, $11::int8, $3, $4, $5, $6, $7::float8, $8::float8, $10::float8, $10::float8)
ON CONFLICT (kind, key) DO UPDATE SET
    version = r.version + 1, value = excluded.value, parent = excluded.parent,
    label = excluded.label, state = excluded.state, due_at = excluded.due_at,
    expires_at = excluded.expires_at, changed_at = excluded.changed_at
WHERE $9::int8 IS NULL AND NOT (r.expires_at IS NOT NULL AND r.expires_at <= $10::float8)
RETURNING version"""
_REPLACE = """
UPDATE tf.record AS r SET version = r.version + 1, value = $3, parent = $4, label = $5, state = $6,
    due_at = $7::float8, expires_at = $8::float8, changed_at = $10::float8
WHERE r.kind = $1 AND r.key = $2 AND r.version = $9::int8
  AND (r.expires_at IS NULL OR r.expires_at > $10::float8)
RETURNING version"""
_LIVES = "(r.expires_at IS NULL OR r.expires_at > $3::float8)"
_FIND = f"""SELECT {_COLUMNS} FROM unnest($2::text[]) u (key) CROSS JOIN LATERAL (
                SELECT * FROM tf.record x WHERE x.kind = $1 AND x.key = u.key LIMIT 1) r
            WHERE {_LIVES}"""
_ADD = f"""UPDATE tf.record AS r SET count = r.count + $4::int8
           WHERE r.kind = $1 AND r.key = $2 AND {_LIVES} RETURNING count"""


class PostgresRecords:
    """`Records` over one session; the caller holds the transaction."""

    one_writer = False

    def __init__(self, session: Session) -> None:
        self._session = session

    def lock(self, names: Collection[str]) -> None:
        lock_names(self._session, "record", names)

    def find(self, kind: str, keys: Collection[str], now: float) -> dict[str, Record]:
        rows = self._session.ask(_FIND, (kind, list(keys), now))
        return {row[1]: _record(row) for row in rows}

    def select(
        self, query: RecordQuery, after: tuple[float, int] | None, now: float
    ) -> list[tuple[int, Record]]:
        by_due = query.order == "due"
        values: list[object] = []

        def given(value: object) -> str:
            values.append(value)
            return f"${len(values)}"

        conditions = [
            f"r.kind = {given(query.kind)}",
            f"(r.expires_at IS NULL OR r.expires_at > {given(now)}::float8)",
        ]
        if query.label is not None:
            conditions.append(f"r.label = {given(query.label)}")
        if len(query.states) == 1:
            conditions.append(f"r.state = {given(next(iter(query.states)))}")
        elif query.states:
            conditions.append(f"r.state = ANY ({given(list(query.states))}::text[])")
        if query.parent is not None:
            conditions.append(f"r.parent = {given(query.parent)}")
        if query.created_from is not None:
            conditions.append(f"r.created_at >= {given(query.created_from)}::float8")
        if query.created_before is not None:
            conditions.append(f"r.created_at < {given(query.created_before)}::float8")
        if query.due_by is not None:
            conditions.append(f"r.due_at <= {given(query.due_by)}::float8")
        order = "r.number DESC" if query.order == "newest" else "r.number"
        if by_due:
            conditions.append("r.due_at IS NOT NULL")
            order = "r.due_at, r.number"
        if after is not None and by_due:
            seen = f"({given(after[0])}::float8, {given(after[1])}::int8)"
            conditions.append(f"(r.due_at, r.number) > {seen}")
        elif after is not None:
            comparison = "<" if query.order == "newest" else ">"
            conditions.append(f"r.number {comparison} {given(after[1])}::int8")
        found = self._session.ask(
            f"""SELECT r.number, {_COLUMNS} FROM tf.record r
                WHERE {" AND ".join(conditions)} ORDER BY {order} LIMIT {int(query.limit)}""",
            values,
        )
        return [(number, _record(row)) for number, *row in found]

    def count_by_state(self, kind: str, label: str | None, now: float) -> dict[str, int]:
        return dict(
            self._session.ask(
                """SELECT r.state, count(*) FROM tf.record r
                   WHERE r.kind = $1 AND r.state IS NOT NULL
                     AND (r.expires_at IS NULL OR r.expires_at > $3::float8)
                     AND ($2::text IS NULL OR r.label = $2) GROUP BY r.state""",
                (kind, label, now),
            )
        )

    def put(self, put: Put, fresh: int, now: float) -> int:
        values = (
            *(put.kind, put.key, put.value, put.parent, put.label, put.state),
            *(put.due_at, put.expires_at, put.expected, now),
        )
        if put.expected:  # one that is there: an insert would never be right
            found = self._session.write(_REPLACE, values)
        else:
            found = self._session.write(_PUT, (*values, fresh))
            if not found and self._drop_expired(put.kind, put.key, now):
                found = self._session.write(_PUT, (*values, fresh))  # as one that never was
        if not found:
            there = self.find(put.kind, [put.key], now).get(put.key)
            version = there.version if there else 0
            raise VersionConflict(put.kind, put.key, put.expected or 0, version)
        version = int(found[0][0])
        return version

    def replace(self, puts: Sequence[Put], now: float) -> bool:
        for put in puts:
            values = (
                *(put.kind, put.key, put.value, put.parent, put.label, put.state),
                *(put.due_at, put.expires_at, put.expected, now),
            )
            if not self._session.write(_REPLACE, values):
                return False
        return True

    def _drop_expired(self, kind: str, key: str, now: float) -> bool:
        gone = self._session.change(
            "DELETE FROM tf.record WHERE kind = $1 AND key = $2 AND expires_at <= $3::float8",
            (kind, key, now),
        )
        return gone > 0

    def remove(self, remove: Remove, now: float) -> None:
        if remove.expected is not None:
            found = self.find(remove.kind, [remove.key], now).get(remove.key)
            version = found.version if found else 0
            if version != remove.expected:
                raise VersionConflict(remove.kind, remove.key, remove.expected, version)
        self._session.change(
            "DELETE FROM tf.record WHERE kind = $1 AND key = $2", (remove.kind, remove.key)
        )

    def add(self, add: Add, now: float) -> int | None:
        found = self._session.write(_ADD, (add.kind, add.key, now, add.by))
        return found[0][0] if found else None

    def take(self, key: str, holder: str, until: float | None, now: float) -> None:
        taken = self._session.change(
            """INSERT INTO tf.holding AS h VALUES ($1, $2, $3::float8)
               ON CONFLICT (key) DO UPDATE SET holder = excluded.holder, until = excluded.until
               WHERE h.holder = excluded.holder OR h.until <= $4::float8""",
            (key, holder, until, now),
        )
        if not taken:
            found = self._session.first(
                "SELECT holder, until FROM tf.holding WHERE key = $1", (key,)
            )
            raise KeyTaken(key, *(found or ("", None)))

    def free(self, key: str, holder: str) -> None:
        self._session.change("DELETE FROM tf.holding WHERE key = $1 AND holder = $2", (key, holder))

    def holders(self, keys: Collection[str], now: float) -> dict[str, str]:
        return dict(
            self._session.ask(
                """SELECT key, holder FROM tf.holding
                   WHERE key = ANY ($1::text[]) AND (until IS NULL OR until > $2::float8)""",
                (list(keys), now),
            )
        )

    def applied(self, id: str, now: float) -> str | None:
        found = self._session.first(
            "SELECT answer FROM tf.applied WHERE id = $1 AND expires_at > $2::float8", (id, now)
        )
        return None if found is None else found[0]

    def note_applied(self, id: str, answer: str, expires_at: float) -> None:
        self._session.change(
            """INSERT INTO tf.applied VALUES ($1, $2, $3::float8) ON CONFLICT (id) DO UPDATE
               SET answer = excluded.answer, expires_at = excluded.expires_at""",
            (id, answer, expires_at),
        )

    def expire(self, now: float, limit: int) -> int:
        return sum(
            self._session.change(
                f"""DELETE FROM tf.{table} WHERE {key} IN (
                        SELECT {key} FROM tf.{table} WHERE {column} <= $1::float8
                        ORDER BY {column} LIMIT $2::int8 FOR UPDATE SKIP LOCKED)""",
                (now, limit),
            )
            for table, key, column in (
                ("record", "number", "expires_at"),
                ("holding", "key", "until"),
                ("applied", "id", "expires_at"),
            )
        )


def _record(row: Any) -> Record:
    return Record(**dict(zip(_FIELDS, row, strict=True)))
