"""The databases an outbox can lie in, by whoever the application reaches them with."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

Value = str | int | float | None
Execute = Callable[[str, Mapping[str, Value]], "Answer"]
"""Runs SQL with `:named` values."""

_NAMED = re.compile(r":([a-z_]+)")


class Answer:
    """What a statement answered: rows, or how many it changed."""

    def __init__(self, rows: Sequence[Sequence[Any]], changed: int) -> None:
        self.rows = rows
        self.changed = changed


class Database(Protocol):
    """Transactions of its own, for the relay."""

    def begin(self) -> AbstractContextManager[Execute]:
        """One transaction: committed at the end of the block, undone by an exception."""
        ...


class SqlAlchemy:
    """A database behind an SQLAlchemy engine."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    @contextmanager
    def begin(self) -> Iterator[Execute]:
        """A connection's transaction."""
        with self._engine.begin() as connection:
            yield executor(connection)


class Django:
    """A database of a Django project, by its alias."""

    def __init__(self, using: str = "default") -> None:
        self._using = using

    @contextmanager
    def begin(self) -> Iterator[Execute]:
        """An atomic block. The relay's thread has a connection of its own, closed after use."""
        from django.db import connections, transaction

        connection = connections[self._using]
        try:
            with transaction.atomic(using=self._using):
                yield executor(connection)
        finally:
            if not connection.in_atomic_block:
                connection.close()


def executor(session: Any) -> Execute:
    """How to run SQL in somebody's session. Raises TypeError for what is none that is known."""
    if hasattr(session, "vendor") and hasattr(session, "cursor"):
        return _django(session)
    if hasattr(session, "execute") and type(session).__module__.startswith("sqlalchemy"):
        return _sqlalchemy(session)
    for base in type(session).__mro__:  # a Session class of the application's own
        if base.__module__.startswith("sqlalchemy"):
            return _sqlalchemy(session)
    raise TypeError(
        f"a session is an SQLAlchemy Session or Connection, or a Django connection "
        f"(django.db.connection); this is a {type(session).__name__}"
    )


def vendor(session: Any) -> str:
    """`sqlite`, `postgresql`, `mysql`, or what else is behind a session."""
    if hasattr(session, "vendor"):
        return str(session.vendor)
    bind = session.get_bind() if hasattr(session, "get_bind") else session
    return str(bind.dialect.name)


def _sqlalchemy(session: Any) -> Execute:
    from sqlalchemy import text

    def execute(sql: str, values: Mapping[str, Value]) -> Answer:
        result = session.execute(text(sql), dict(values))
        rows = [tuple(row) for row in result] if result.returns_rows else []
        return Answer(rows, -1 if result.returns_rows else result.rowcount)

    return execute


def _django(connection: Any) -> Execute:
    def execute(sql: str, values: Mapping[str, Value]) -> Answer:
        names = _NAMED.findall(sql)
        with connection.cursor() as cursor:
            cursor.execute(_NAMED.sub("%s", sql), [values[name] for name in names])
            rows = cursor.fetchall() if cursor.description else []
            return Answer(rows, cursor.rowcount)

    return execute
