"""The store verbs for records, keys and applied changes, in SQL."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import apsw

from taskflow.broker.change import Add, Free, Put, Remove, Take
from taskflow.broker.record import Record, RecordQuery
from taskflow.errors import KeyTaken, VersionConflict
from taskflow.stores.sqlite.columns import encode
from taskflow.stores.sqlite.record_statements import ALIVE, COLUMNS, page_of, values_of

_GONE = "(record.expires_at IS NOT NULL AND record.expires_at <= ?10)"
# ?1 kind, key, value, parent, ?5 label, state, due_at, expires_at, expected, ?10 now, fresh version
_PUT = f"""INSERT INTO record AS record (kind, key, version, value, parent, label, state, due_at,
                               expires_at, created_at, changed_at)
           VALUES (?1, ?2, ?11, ?3, ?4, ?5, ?6, ?7, ?8, ?10, ?10)
           ON CONFLICT (kind, key) DO UPDATE SET
               version = record.version + 1, value = excluded.value, parent = excluded.parent,
               label = excluded.label, state = excluded.state, due_at = excluded.due_at,
               expires_at = excluded.expires_at, changed_at = excluded.changed_at
           WHERE NOT {_GONE}
           RETURNING version"""
_REPLACE = """UPDATE record AS r SET version = r.version + 1, value = ?3, parent = ?4,
                  label = ?5, state = ?6, due_at = ?7, expires_at = ?8, changed_at = ?10
              WHERE r.kind = ?1 AND r.key = ?2 AND r.version = ?9
                AND (r.expires_at IS NULL OR r.expires_at > ?10)"""
# Without what indexes have that stay as they are: those are written for each column named here.
_GO_ON = """UPDATE record AS r SET version = r.version + 1, value = ?3, state = ?6,
                expires_at = ?8, changed_at = ?10
            WHERE r.kind = ?1 AND r.key = ?2 AND r.version = ?9
              AND (r.expires_at IS NULL OR r.expires_at > ?10)
              AND r.parent IS ?4 AND r.label IS ?5 AND r.due_at IS ?7"""
# As a tick leaves a schedule: nothing but what it says, and when it is due.
_COME_AGAIN = """UPDATE record AS r SET version = r.version + 1, value = ?3, due_at = ?7,
                     changed_at = ?10
                 WHERE r.kind = ?1 AND r.key = ?2 AND r.version = ?9
                   AND (r.expires_at IS NULL OR r.expires_at > ?10)
                   AND r.parent IS ?4 AND r.label IS ?5 AND r.state IS ?6 AND r.expires_at IS ?8"""
_INSERT = """INSERT INTO record (kind, key, version, value, parent, label, state, due_at,
                                 expires_at, created_at, changed_at)
             VALUES (?1, ?2, ?11, ?3, ?4, ?5, ?6, ?7, ?8, ?10, ?10)
             ON CONFLICT (kind, key) DO NOTHING"""
_TAKE = """INSERT INTO holding VALUES (?1, ?2, ?3) ON CONFLICT (key) DO UPDATE
           SET holder = excluded.holder, until = excluded.until
           WHERE holder = excluded.holder OR until <= ?4"""
_DROP_EXPIRED = "DELETE FROM record WHERE kind = ? AND key = ? AND expires_at <= ?"
_DROP_BEFORE = f"{_DROP_EXPIRED} AND version <> ?"  # not what was just written, and is over
_FREE = "DELETE FROM holding WHERE key = ? AND holder = ?"
_LIVES = "(r.expires_at IS NULL OR r.expires_at > ?3)"
_FIND = f"SELECT {COLUMNS} FROM record r WHERE r.kind = ?1 AND r.key = ?2 AND {_LIVES}"
_FIND_MANY = f"""SELECT {COLUMNS} FROM json_each(?2) j CROSS JOIN record r
                 ON r.kind = ?1 AND r.key = j.value WHERE {_LIVES}"""
_TEXT = "SELECT value FROM record WHERE kind = ? AND key = ?"
_ADD = f"""UPDATE record AS r SET count = count + ?4
           WHERE r.kind = ?1 AND r.key = ?2 AND {_LIVES} RETURNING count"""
FEW = 8
"""Up to so many keys a statement for each is quicker than one over a list: `json_each` takes as
long to set up as six of them."""


class SqliteRecords:
    """`Records` over one SQLite connection; the caller holds the transaction."""

    one_writer = True

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.cursor().execute
        self._ask = connection.cursor().execute

    def lock(self, names: Collection[str]) -> None:
        """There is one writer."""

    def find(self, kind: str, keys: Collection[str], now: float) -> dict[str, Record]:
        if len(keys) <= FEW:
            rows = [row for key in keys for row in self._execute(_FIND, (kind, key, now))]
        else:
            rows = self._execute(_FIND_MANY, (kind, encode(list(keys)).decode(), now)).fetchall()
        return {row[1]: _record(row) for row in rows}

    def others(self) -> int:
        """The same as before only if no other connection has committed anything since, as far as
        this one has seen."""
        return self._connection.data_version()

    def text(self, kind: str, key: str) -> str | None:
        """What a record that never expires says."""
        found: str | None = self._ask(_TEXT, (kind, key)).get
        return found

    def select(
        self, query: RecordQuery, after: tuple[float, int] | None, now: float
    ) -> list[tuple[int, Record]]:
        found = self._execute(
            page_of(
                query.order,
                query.label is not None,
                len(query.states),
                query.parent is not None,
                query.created_from is not None,
                query.created_before is not None,
                query.due_by is not None,
                after is not None,
            ),
            {
                "kind": query.kind,
                "parent": query.parent,
                "label": query.label,
                "states": encode(list(query.states)).decode() if query.states else None,
                "created_from": query.created_from,
                "created_before": query.created_before,
                "due_by": query.due_by,
                "due": after[0] if after else None,
                "number": after[1] if after else None,
                "limit": query.limit,
                "now": now,
            },
        )
        return [(number, _record(row)) for number, *row in found]

    def count_by_state(self, kind: str, label: str | None, now: float) -> dict[str, int]:
        return dict(
            self._execute(
                f"""SELECT r.state, count(*) FROM record r
                    WHERE r.kind = :kind AND r.state IS NOT NULL AND {ALIVE}
                      AND (:label IS NULL OR r.label = :label) GROUP BY r.state""",
                {"kind": kind, "label": label, "now": now},
            )
        )

    def put(self, put: Put, fresh: int, now: float) -> int:
        values = values_of(put, now)
        # (What version it has then is asked only where it is not known: RETURNING takes as long
        # again as the change.)
        version: int | None
        if put.expected:  # one that is there: an insert would never be right
            version = put.expected + 1 if self._changed(_REPLACE, values) else None
        else:
            version = self._insert(put.expected, (*values, fresh), fresh)
            if version is None and self._drop_expired(put.kind, put.key, now):
                version = self._insert(
                    put.expected, (*values, fresh), fresh
                )  # as one that never was
        if version is None:
            self._conflict(put.kind, put.key, put.expected or 0, now)
        assert version is not None
        return version

    def put_all(
        self, puts: Sequence[Put], fresh: Callable[[], int], now: float
    ) -> list[int] | None:
        as_due: list[tuple[Any, ...]] = []
        later: list[tuple[Any, ...]] = []
        for put in puts:
            if put.expected:
                (as_due if put.due_at is None else later).append(values_of(put, now))
        # (What was changed has another version, and is not changed again.)
        for quick, some in ((_GO_ON, as_due), (_COME_AGAIN, later)):
            left = len(some) - self._change_many(quick, some)
            if left and self._change_many(_REPLACE, some) < left:
                return None
        versions = [fresh() for _ in puts]
        if len(as_due) + len(later) == len(puts):  # as the ends of runs are
            return [put.expected + 1 for put in puts if put.expected]
        new = [
            (*values_of(put, now), version)
            for put, version in zip(puts, versions, strict=True)
            if not put.expected
        ]
        inserted = self._change_many(_INSERT, new)
        if inserted < len(new):  # what has expired under the same key is there still
            self._change_many(_DROP_BEFORE, [(*one[:2], now, one[-1]) for one in new])
            if inserted + self._change_many(_INSERT, new) < len(new):
                return None
        return [
            put.expected + 1 if put.expected else version
            for put, version in zip(puts, versions, strict=True)
        ]

    def _change_many(self, sql: str, values: Sequence[tuple[Any, ...]]) -> int:
        """How many rows were changed."""
        before = self._connection.total_changes()
        self._connection.executemany(sql, values)
        return self._connection.total_changes() - before

    def _insert(self, expected: int | None, values: tuple[Any, ...], fresh: int) -> int | None:
        """The version of one that is new, or that replaces another if none is expected."""
        if expected is None:
            found: int | None = self._execute(_PUT, values).get
            return found
        return fresh if self._changed(_INSERT, values) else None

    def _changed(self, sql: str, values: tuple[Any, ...]) -> bool:
        self._execute(sql, values)
        return self._connection.changes() > 0

    def _drop_expired(self, kind: str, key: str, now: float) -> bool:
        return self._changed(_DROP_EXPIRED, (kind, key, now))

    def _conflict(self, kind: str, key: str, expected: int, now: float) -> None:
        found = self.find(kind, [key], now).get(key)
        raise VersionConflict(kind, key, expected, found.version if found else 0)

    def remove(self, remove: Remove, now: float) -> None:
        if remove.expected is not None:
            found = self.find(remove.kind, [remove.key], now).get(remove.key)
            version = found.version if found else 0
            if version != remove.expected:
                raise VersionConflict(remove.kind, remove.key, remove.expected, version)
        self._execute("DELETE FROM record WHERE kind = ? AND key = ?", (remove.kind, remove.key))

    def add(self, add: Add, now: float) -> int | None:
        found: int | None = self._execute(_ADD, (add.kind, add.key, now, add.by)).get
        return found

    def take(self, key: str, holder: str, until: float | None, now: float) -> None:
        self._execute(_TAKE, (key, holder, until, now))
        if not self._connection.changes():
            taken = self._execute("SELECT holder, until FROM holding WHERE key = ?", (key,)).get
            raise KeyTaken(key, *taken)

    def free(self, key: str, holder: str) -> None:
        self._execute(_FREE, (key, holder))

    def change_keys(self, keys: Sequence[Take | Free], now: float) -> bool:
        taken = [(one.key, one.holder, one.until, now) for one in keys if isinstance(one, Take)]
        freed = [(one.key, one.holder) for one in keys if isinstance(one, Free)]
        self._connection.executemany(_FREE, freed)
        return self._change_many(_TAKE, taken) == len(taken)

    def holders(self, keys: Collection[str], now: float) -> dict[str, str]:
        return dict(
            self._execute(
                """SELECT h.key, h.holder FROM json_each(?1) j CROSS JOIN holding h
                   ON h.key = j.value WHERE h.until IS NULL OR h.until > ?2""",
                (encode(list(keys)).decode(), now),
            )
        )

    def applied(self, id: str, now: float) -> str | None:
        found: str | None = self._execute(
            "SELECT answer FROM applied WHERE id = ? AND expires_at > ?", (id, now)
        ).get
        return found

    def applied_under(self, name: str) -> list[str]:
        """What was noted of changes by this id, and by those that begin with it and a `/`."""
        found = self._execute(
            "SELECT answer FROM applied WHERE id = ?1 OR (id > ?1 || '/' AND id < ?1 || '0')",
            (name,),
        )
        return [answer for (answer,) in found]

    def note_applied(self, id: str, answer: str, expires_at: float) -> None:
        self._execute("INSERT OR REPLACE INTO applied VALUES (?, ?, ?)", (id, answer, expires_at))

    def expire(self, now: float, limit: int) -> int:
        gone = 0
        for table, key, column in (
            ("record", "number", "expires_at"),
            ("holding", "key", "until"),
            ("applied", "id", "expires_at"),
        ):
            self._execute(
                f"""DELETE FROM {table} WHERE {key} IN (
                        SELECT {key} FROM {table} WHERE {column} <= ? ORDER BY {column} LIMIT ?)""",
                (now, limit),
            )
            gone += self._connection.changes()
        return gone


def _record(row: Any) -> Record:
    kind, key, version, value, parent, label, state, due_at, expires_at, count, made, changed = row
    return Record(
        kind=kind,
        key=key,
        version=version,
        value=value,
        parent=parent,
        label=label,
        state=state,
        due_at=due_at,
        expires_at=expires_at,
        count=count,
        created_at=made,
        changed_at=changed,
    )
