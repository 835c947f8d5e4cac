"""Opens the database of a service through SQLAlchemy: SQLite files, or PostgreSQL."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, create_engine, event
from sqlalchemy.engine import make_url

from taskflow.outbox import create_table

BUSY_TIMEOUT_SECONDS = 15
"""How long a transaction waits for another one's write lock before it is an error."""

READ_ONLY: dict[str, Any] = {"read_only": True}
"""Execution options of a connection that only reads, so that it never waits for a writer."""

NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""A name for every constraint, so that a later migration can speak of it."""


def open_database(url: str, metadata: MetaData) -> Engine:
    """Connect to `url` and create the tables that are missing. Idempotent; thread-safe engine.

    On SQLite the folder is made when missing, and every transaction starts with BEGIN IMMEDIATE,
    since a read that turns into a write fails at once whatever the timeout. The rollback journal
    is kept: WAL is not safe with the SQLite that many Pythons are linked to.
    """
    address = make_url(url)
    # Parameters hold what customers typed: they stay out of error messages.
    if address.get_backend_name() != "sqlite":
        engine = create_engine(url, hide_parameters=True, pool_pre_ping=True)
    else:
        if address.database and address.database != ":memory:":
            make_private(Path(address.database))
        engine = create_engine(url, hide_parameters=True)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":  # whose IF NOT EXISTS fails where two make it
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('services'))")
        metadata.create_all(connection)
        create_table(connection)  # the outbox, for services that tell of what they do
    return engine


def make_private(path: Path) -> None:
    """Make a file that is missing, and its folder, for their owner alone: customers are in it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # sqlite3 would begin transactions by itself, and late; the "begin" listener does it instead.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_SECONDS * 1000}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")


def _begin_immediate(connection: Connection) -> None:
    read_only = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
