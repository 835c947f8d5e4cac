"""SqlRecordStore: records, keys and ids of changes in tables of a SQL database.

A change is one transaction. What it reads is locked (`FOR UPDATE`; SQLite has one writer anyway),
and each row is written on condition that it is as it was read, so that READ COMMITTED will do, and
so will a database without row locks.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, delete, func, insert, or_, select, update
from sqlalchemy.exc import DBAPIError

from taskflow.broker.record import Record, RecordQuery
from taskflow.coordination.record_store import (
    Contended,
    Holding,
    Kept,
    Names,
    Note,
    Things,
)
from taskflow.coordination.sql_database import RowExists, SqlDatabase
from taskflow.coordination.sql_record_tables import CHANGES, KEYS, RECORDS, id_of
from taskflow.errors import BrokerUnavailable

_READ = 500  # rows of one query
_FIELDS = Record.__struct_fields__
# What databases say when two transactions were in each other's way, and one had to end: PostgreSQL
# and MySQL by a number, SQLite in words.
_IN_THE_WAY = ("40001", "40P01", 1205, 1213)
_LOCKED = "database is locked"


class SqlRecordStore:
    """The contract is `record_store.RecordStore`."""

    def __init__(self, database: SqlDatabase) -> None:
        self._database = database

    def read(self, names: Names) -> Things:
        with self._database.connect() as connection:
            return _find(connection, names, lock=False)

    def change(self, names: Names, decide: Callable[[Things], Things]) -> None:
        try:
            with self._database.connect() as connection:
                seen = _find(connection, names, lock=True)
                _write(connection, seen, decide(seen))
        except RowExists as error:  # another made it meanwhile
            raise Contended from error
        except BrokerUnavailable as error:
            if _were_in_the_way(error.__cause__):
                raise Contended from error
            raise

    def select(
        self, query: RecordQuery, after: tuple[float, int] | None, now: float
    ) -> Sequence[Kept]:
        r = RECORDS.c
        chosen = select(RECORDS).where(r.kind == query.kind, _alive(r.expires_at, now))
        if query.label is not None:
            chosen = chosen.where(r.label == query.label)
        if query.states:
            chosen = chosen.where(r.state.in_(list(query.states)))
        if query.parent is not None:
            chosen = chosen.where(r.parent == query.parent)
        if query.created_from is not None:
            chosen = chosen.where(r.created_at >= query.created_from)
        if query.created_before is not None:
            chosen = chosen.where(r.created_at < query.created_before)
        if query.due_by is not None:
            chosen = chosen.where(r.due_at <= query.due_by)
        if query.order == "due":
            chosen = chosen.where(r.due_at.is_not(None)).order_by(r.due_at, r.number)
            if after is not None:
                due, number = after
                later = or_(r.due_at > due, (r.due_at == due) & (r.number > number))
                chosen = chosen.where(r.due_at >= due, later)
        elif query.order == "newest":
            chosen = chosen.order_by(r.number.desc())
            if after is not None:
                chosen = chosen.where(r.number < after[1])
        else:
            chosen = chosen.order_by(r.number)
            if after is not None:
                chosen = chosen.where(r.number > after[1])
        with self._database.connect() as connection:
            return [_kept(row) for row in connection.execute(chosen.limit(query.limit))]

    def count_by_state(self, kind: str, label: str | None, now: float) -> dict[str, int]:
        r = RECORDS.c
        chosen = select(r.state, func.count().label("number")).where(
            r.kind == kind, r.state.is_not(None), _alive(r.expires_at, now)
        )
        if label is not None:
            chosen = chosen.where(r.label == label)
        with self._database.connect() as connection:
            found = connection.execute(chosen.group_by(r.state))
            return {row.state: row.number for row in found}

    def expire(self, now: float, limit: int) -> int:
        gone = 0
        for table, time in (
            (RECORDS, RECORDS.c.expires_at),
            (KEYS, KEYS.c.until),
            (CHANGES, CHANGES.c.expires_at),
        ):
            old = select(table.c.id).where(time <= now).order_by(time).limit(limit)
            with self._database.connect() as connection:
                ids = list(connection.execute(old).scalars())
                for some in _some(ids):  # who was put anew meanwhile stays
                    removed = connection.execute(
                        delete(table).where(table.c.id.in_(some), time <= now)
                    )
                    gone += removed.rowcount
        return gone

    def close(self) -> None:
        """Close the database's connections."""
        self._database.close()


# ---- rows as they are read and written ----------------------------------------------------------
def _find(connection: Connection, names: Names, *, lock: bool) -> Things:
    found = Things()
    ids = [id_of(*name) for name in names.records]
    for row in _rows(connection, RECORDS, ids, lock):
        found.records[row.kind, row.key] = _kept(row)
    for row in _rows(connection, KEYS, [id_of(name) for name in names.keys], lock):
        found.keys[row.name] = Holding(row.holder, row.until)
    for row in _rows(connection, CHANGES, [id_of(name) for name in names.changes], lock):
        found.changes[row.name] = Note(row.answer, row.expires_at)
    return found


def _rows(connection: Connection, table: Table, ids: Collection[str], lock: bool) -> Iterator[Any]:
    for some in _some(sorted(ids)):
        chosen = select(table).where(table.c.id.in_(some))
        if lock:  # in one order, whoever locks
            chosen = chosen.order_by(table.c.id).with_for_update()
        yield from connection.execute(chosen).all()


def _write(connection: Connection, seen: Things, things: Things) -> None:
    """Write each row in place of what was seen. Raises Contended, RowExists."""
    new: list[dict[str, Any]] = []
    for name, kept in sorted(things.records.items(), key=lambda one: id_of(*one[0])):
        before = seen.records.get(name)
        if before is None:
            assert kept is not None  # what is not there is not removed
            new.append({"id": id_of(*name), **_row(kept)})
            continue
        as_seen = (
            RECORDS.c.id == id_of(*name),
            RECORDS.c.version == before.record.version,
            RECORDS.c.count == before.record.count,
        )
        _replace(connection, RECORDS, as_seen, None if kept is None else _row(kept))
    _insert(connection, RECORDS, new)
    _write_keys(connection, seen, things)
    for id, note in things.changes.items():
        assert note is not None  # they only expire
        row = {"answer": note.answer, "expires_at": note.expires_at}
        old = seen.changes.get(id)
        if old is None:
            _insert(connection, CHANGES, [{"id": id_of(id), "name": id, **row}])
        else:
            same = (CHANGES.c.id == id_of(id), CHANGES.c.expires_at == old.expires_at)
            _replace(connection, CHANGES, same, row)


def _write_keys(connection: Connection, seen: Things, things: Things) -> None:
    new: list[dict[str, Any]] = []
    for key, holding in sorted(things.keys.items(), key=lambda one: id_of(one[0])):
        before = seen.keys.get(key)
        if before is None:
            assert holding is not None  # what is not there is not removed
            new.append({"id": id_of(key), "name": key, **holding._asdict()})
            continue
        until = KEYS.c.until
        as_seen = (
            KEYS.c.id == id_of(key),
            KEYS.c.holder == before.holder,
            until.is_(None) if before.until is None else until == before.until,
        )
        _replace(connection, KEYS, as_seen, None if holding is None else holding._asdict())
    _insert(connection, KEYS, new)


def _insert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table), rows)


def _replace(
    connection: Connection,
    table: Table,
    as_seen: tuple[ColumnElement[bool], ...],
    row: dict[str, Any] | None,
) -> None:
    changed = connection.execute(
        delete(table).where(*as_seen) if row is None else update(table).where(*as_seen).values(row)
    )
    if changed.rowcount != 1:
        raise Contended


def _kept(row: Any) -> Kept:
    return Kept(Record(**{name: getattr(row, name) for name in _FIELDS}), row.number)


def _row(kept: Kept) -> dict[str, Any]:
    return {**{name: getattr(kept.record, name) for name in _FIELDS}, "number": kept.number}


def _alive(time: ColumnElement[float | None], now: float) -> ColumnElement[bool]:
    return or_(time.is_(None), time > now)


def _some(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _READ):
        yield ids[start : start + _READ]


def _were_in_the_way(error: BaseException | None) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    cause = error.orig
    states = [getattr(cause, name, None) for name in ("sqlstate", "pgcode")]
    states += getattr(cause, "args", ())[:1]
    return any(state in _IN_THE_WAY for state in states) or _LOCKED in str(cause)
