"""Connections of the application's own, of whichever driver: what is asked of them, and in which
words."""

import re
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import psycopg
from psycopg import pq, rows

from taskflow.errors import ConfigError
from taskflow.stores.postgres.statements import written

ALLOWED = (
    "an open psycopg Connection, an SQLAlchemy Connection or Session over psycopg or psycopg2, or "
    "Django's connection"
)
_PLACE = re.compile(r"\$(\d+)")


class Found(NamedTuple):
    """What a statement answered: rows, and how many it changed."""

    rows: Sequence[tuple[Any, ...]]
    changed: int


Run = Callable[[str, Mapping[str, Any]], Found]
After = Callable[[Callable[[], None]], None]


class Foreign:
    """Runs statements in a transaction of somebody else's, who ends it. What the driver raises
    comes as it is: it is its user's."""

    def __init__(self, raw: Any, run: Run, after: After | None = None) -> None:
        self.raw = raw
        """The driver's own connection."""
        self._run = run
        self._after = after

    def run(self, text: str, values: Sequence[Any] = ()) -> Found:
        """Run a statement (`in_driver_words`). Every driver sends text as it is."""
        texts = [None if one is None else one.decode() for one in written(values)]
        return self._run(text, {f"p{at}": one for at, one in enumerate(texts, 1)})

    @property
    def closed(self) -> bool:
        """Whether it can say nothing any more."""
        return bool(self.raw.closed)

    @property
    def commits_at_once(self) -> bool:
        """Whether there is no transaction, and none begins with the next statement."""
        if not self.raw.autocommit:
            return False
        if isinstance(self.raw, psycopg.Connection) and _is_in_pipeline(self.raw):
            with self.raw.pipeline():  # its end waits: nobody knows before what was sent has begun
                pass
        if isinstance(self.raw, psycopg.Connection | psycopg.AsyncConnection):
            return self.raw.info.transaction_status == pq.TransactionStatus.IDLE
        return bool(self.raw.get_transaction_status() == pq.TransactionStatus.IDLE)

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call this when the transaction has been committed, where somebody tells."""
        if self._after is not None:
            self._after(call)


def in_driver_words(text: str) -> str:
    """A statement with `$1` as all drivers of PostgreSQL take it, `%(p1)s`."""
    return _PLACE.sub(r"%(p\1)s", text.replace("%", "%%"))


def find_foreign(connection: object) -> Foreign:
    """What is behind a `connection=`. Raises ConfigError for what nobody here knows, and where no
    transaction is open."""
    foreign = _find(connection)
    if foreign is None:
        raise ConfigError(f"connection= is a {type(connection).__name__}; allowed is {ALLOWED}")
    if foreign.commits_at_once:
        raise ConfigError(
            "connection= commits each statement by itself (autocommit), and no transaction is "
            "open: open one, or leave connection= out"
        )
    return foreign


def _find(connection: Any) -> Foreign | None:
    if isinstance(connection, psycopg.Connection):
        return Foreign(connection, _of_psycopg(connection))
    packages = {kind.__module__.partition(".")[0] for kind in type(connection).__mro__}
    if "django" in packages and hasattr(connection, "vendor"):
        return _of_django(connection)
    if "sqlalchemy" in packages:
        return _of_sqlalchemy(connection)
    return _of_driver(connection) if "psycopg2" in packages else None


def _of_psycopg(connection: psycopg.Connection[Any]) -> Run:
    """Without the rows of somebody's own kind, and within a pipeline, too."""
    cursor = psycopg.Cursor(connection, row_factory=rows.tuple_row)
    at_once = _by(cursor)

    def run(text: str, values: Mapping[str, Any]) -> Found:
        if not _is_in_pipeline(connection):
            return at_once(text, values)
        with connection.pipeline():  # its end waits for what was sent so far
            cursor.execute(text, values)
        return Found(cursor.fetchall() if cursor.description else (), cursor.rowcount)

    return run


def _is_in_pipeline(connection: psycopg.Connection[Any]) -> bool:
    return connection.pgconn.pipeline_status != pq.PipelineStatus.OFF


def _by(cursor: Any) -> Run:
    def run(text: str, values: Mapping[str, Any]) -> Found:
        cursor.execute(text, values)
        return Found(cursor.fetchall() if cursor.description else (), cursor.rowcount)

    return run


def _of_driver(connection: Any) -> Foreign:
    """psycopg2, without the rows of somebody's own kind."""
    plain = import_module("psycopg2.extensions").cursor
    return Foreign(connection, _by(connection.cursor(cursor_factory=plain)))


def _of_django(connection: Any) -> Foreign:
    if connection.vendor != "postgresql":
        raise ConfigError(f"connection= is one to {connection.vendor}; the broker is at PostgreSQL")
    connection.ensure_connection()

    def run(text: str, values: Mapping[str, Any]) -> Found:
        with connection.cursor() as cursor:
            return _by(cursor)(text, values)

    def after(call: Callable[[], None]) -> None:
        from django.db import transaction

        if connection.in_atomic_block:  # else (AUTOCOMMIT off) Django knows of no commit
            transaction.on_commit(call, using=connection.alias, robust=True)

    return Foreign(connection.connection, run, after)


def _of_sqlalchemy(given: Any) -> Foreign | None:
    from sqlalchemy import Connection, event
    from sqlalchemy.orm import Session, scoped_session

    session = given.registry() if isinstance(given, scoped_session) else given
    connection = session.connection() if isinstance(session, Session) else session
    if not isinstance(connection, Connection):
        return None
    dialect = connection.dialect
    if dialect.name != "postgresql" or dialect.driver not in ("psycopg", "psycopg2"):
        raise ConfigError(
            f"connection= is one of SQLAlchemy to {dialect.name}+{dialect.driver}; allowed is "
            "postgresql+psycopg or postgresql+psycopg2, to the broker's database"
        )

    def run(text: str, values: Mapping[str, Any]) -> Found:
        answer = connection.exec_driver_sql(text, dict(values))
        found = answer.all() if answer.returns_rows else ()
        return Found([tuple(row) for row in found], answer.rowcount)

    def after(call: Callable[[], None]) -> None:
        calls = session.info.get(_CALLS)
        if calls is None:  # one listener for all that is to be called
            calls = session.info[_CALLS] = []
            event.listen(session, "after_commit", _call_all)
            event.listen(session, "after_rollback", _call_none)
        calls.append(call)

    raw = connection.connection.driver_connection  # under an AsyncSession, the asynchronous one
    return Foreign(raw, run, after if isinstance(session, Session) else None)


_CALLS = "taskflow.after_commit"


def _call_all(session: Any) -> None:
    calls = session.info[_CALLS]
    while calls and not session.in_nested_transaction():  # the end of a savepoint is told, too
        calls.pop(0)()


def _call_none(session: Any) -> None:
    session.info[_CALLS].clear()
