"""Running statements over a connection, with less in between than a cursor has.

A cursor looks at the type of each value to choose how to send it; all statements here say by a cast
what each of theirs is, so that text will do. That is half the time of a verb.
"""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import errors, pq
from psycopg.adapt import Transformer

from taskflow.stores.postgres.texts import Texts

OK = (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)


class Statements:
    """Each is prepared once, where the connection stays the same from one to the next."""

    def __init__(self, connection: psycopg.Connection[Any], texts: Texts, prepare: bool) -> None:
        self._pgconn = connection.pgconn
        self._texts = texts
        self._prepare = prepare
        self._names: dict[str, bytes] = {}
        self._mine = f"tf_{uuid4().hex[:12]}_"
        """No other connection has such names: behind a pooler that nobody told of, what is prepared
        under one of them is this statement, or nothing is."""
        self._given = 0
        self._load = Transformer(connection)

    def run(self, text: str, values: Sequence[object] = ()) -> pq.abc.PGresult:
        """The result of a statement. Raises psycopg.Error."""
        name = self._names.get(text) if self._prepare else None
        if name is None:
            result = self._first_run(text, values)
        else:
            result = self._pgconn.exec_prepared(name, written(values))
        if result.status not in OK:
            error = errors.error_from_result(result, encoding="utf-8")
            if isinstance(error, errors.InvalidSqlStatementName):  # as after DISCARD ALL
                self._names.clear()
            raise error
        return result

    def _first_run(self, text: str, values: Sequence[object]) -> pq.abc.PGresult:
        sql = self._texts[text].encode()
        texts = written(values)
        if not self._prepare:
            return self._pgconn.exec_params(sql, texts)
        self._given += 1  # never twice: one may be there that a timeout kept from being noted
        name = f"{self._mine}{self._given}".encode()
        prepared = self._pgconn.prepare(name, sql)
        if prepared.status not in OK:
            return prepared
        self._names[text] = name
        return self._pgconn.exec_prepared(name, texts)

    def rows(self, result: pq.abc.PGresult) -> list[tuple[Any, ...]]:
        """The rows of a result."""
        if not result.ntuples:
            return []
        self._load.set_pgresult(result)
        return self._load.load_rows(0, result.ntuples, tuple)


def _text(value: Any) -> bytes:
    value = str.__str__(value)  # what it is, whatever a subclass (an enumeration) says
    if "\0" in value:
        raise psycopg.DataError("text with a NUL character")
    try:
        return str.encode(value)
    except UnicodeEncodeError:
        raise psycopg.DataError("text that is no UTF-8") from None


def _whole(value: Any) -> bytes:
    return int.__repr__(value).encode()


def _real(value: Any) -> bytes:
    return float.__repr__(value).encode()


def _none(value: Any) -> None:
    return None


def _truth(value: Any) -> bytes:
    return b"t" if value else b"f"


def _list(values: Any) -> bytes:
    """As PostgreSQL writes an array."""
    return ("{" + ",".join([_ITEM[type(one)](one) for one in values]) + "}").encode()


def _quoted(value: Any) -> str:
    _text(value)
    value = str.__str__(value)
    if '"' in value or "\\" in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'


class _BySubclass(dict[type, Callable[[Any], Any]]):
    """By type; that of a subclass is that of its base."""

    def __missing__(self, kind: type) -> Callable[[Any], Any]:
        for base in kind.__mro__[1:]:
            if base in self:
                found = self[kind] = self[base]
                return found
        raise TypeError(f"{kind.__name__} is nothing that is stored")


_WRITE = _BySubclass(
    {
        str: _text,
        int: _whole,
        float: _real,
        bool: _truth,
        type(None): _none,
        list: _list,
        tuple: _list,
    }
)
_ITEM = _BySubclass(
    {
        str: _quoted,
        int: int.__repr__,
        float: float.__repr__,
        bool: lambda one: "tf"[not one],
        type(None): lambda _: "NULL",
    }
)


def written(values: Sequence[object]) -> list[Any]:
    """Values as text, which a cast makes what it is to be. Raises psycopg.DataError."""
    return [_WRITE[type(one)](one) for one in values]
