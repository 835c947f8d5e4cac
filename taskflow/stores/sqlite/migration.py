"""Making the tables of a new broker file, and bringing one of an older version up to date."""

import logging
from contextlib import suppress
from functools import cache
from pathlib import Path

import apsw

from taskflow.errors import BrokerFileError
from taskflow.stores.sqlite.file_copy import copy_file
from taskflow.stores.sqlite.letters import note_all

log = logging.getLogger("taskflow.store")

APPLICATION_ID = 0x7461736B  # "task"
SCHEMA_VERSION = 6
MIGRATIONS = {
    1: "ALTER TABLE queue ADD COLUMN expired INTEGER NOT NULL DEFAULT 0",
    2: """ALTER TABLE payload RENAME TO body;
          CREATE TABLE shared (seq INTEGER PRIMARY KEY, queues TEXT NOT NULL) STRICT;""",
    3: """ALTER TABLE message ADD COLUMN level INTEGER;
          ALTER TABLE message ADD COLUMN slot TEXT;
          DROP INDEX message_due;
          CREATE INDEX message_due ON message (queue, visible_at, seq) WHERE level IS NULL;
          CREATE INDEX message_level ON message (queue, level, visible_at, seq)
              WHERE level IS NOT NULL;
          DROP INDEX message_tenant;
          CREATE INDEX message_group ON message (queue, tenant, level, visible_at, seq)
              WHERE tenant IS NOT NULL;
          CREATE INDEX message_held ON message (queue, slot)
              WHERE slot IS NOT NULL AND receipt IS NOT NULL;
          CREATE INDEX message_parked ON message (queue, slot, level, seq)
              WHERE slot IS NOT NULL AND visible_at = 9e15;
          CREATE INDEX bucket_at ON bucket (at);""",
    4: "ALTER TABLE declared RENAME TO declaration",
    5: """ALTER TABLE declaration RENAME TO topology;
          CREATE TABLE arrival (
              seq INTEGER PRIMARY KEY, queue INTEGER NOT NULL, visible_at REAL NOT NULL,
              sent_at REAL NOT NULL, id TEXT NOT NULL, topic TEXT NOT NULL, body TEXT NOT NULL
          ) STRICT;
          CREATE TRIGGER arrival_taken_over AFTER DELETE ON arrival BEGIN
              INSERT OR IGNORE INTO message (queue, seq, visible_at, sent_at, id, topic)
                  SELECT id, old.seq, old.visible_at, old.sent_at, old.id, old.topic
                  FROM queue WHERE id = old.queue;
              INSERT INTO body SELECT old.seq, old.body, '{}', NULL WHERE changes() = 1;
          END;""",
}
"""What makes a file of a version one of the next. Where a process that still has it open must not
go on as before, a table or an index it names has another name after that: its next statement fails,
and nothing is lost."""


def prepare(connection: apsw.Connection, path: Path | None) -> None:
    """Make the schema in a new file, or see that this one is ours and up to date. A file that is
    changed is copied before. Raises BrokerFileError."""
    if path is None:
        _fill(connection)
        return
    _prepare(connection, path)


def _prepare(connection: apsw.Connection, path: Path | None) -> None:
    if connection.readonly("main"):
        raise BrokerFileError(f"{path} is read-only; the broker must write")
    connection.execute("BEGIN IMMEDIATE")
    try:
        application = connection.pragma("application_id")
        version = connection.pragma("user_version")
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
        if application != APPLICATION_ID and tables:
            raise BrokerFileError(f"{path} is an SQLite file, but no taskflow broker")
        if version > SCHEMA_VERSION:
            raise BrokerFileError(
                f"{path} was written by a newer taskflow (schema {version}; "
                f"this one knows up to {SCHEMA_VERSION}): upgrade taskflow"
            )
        if not tables:
            connection.execute(_sql("schema.sql"))
            connection.pragma("application_id", APPLICATION_ID)
        elif version < SCHEMA_VERSION:
            _migrate(connection, path, version)
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'record'").get:
            connection.execute(_sql("records.sql"))
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'letter'").get:
            connection.execute(_sql("letters.sql"))
            note_all(connection)
        if version != SCHEMA_VERSION:
            connection.pragma("user_version", SCHEMA_VERSION)
        connection.execute("COMMIT")
    except BaseException:
        with suppress(apsw.Error):  # SQLite may have undone it by itself, or Ctrl-C came at its end
            connection.execute("ROLLBACK")
        raise


def _fill(connection: apsw.Connection) -> None:
    """Copy the schema into memory: a tenth of the time of making it, which is most of opening."""
    source = apsw.Connection(":memory:")
    try:
        source.deserialize("main", _empty(connection.pragma("page_size")))
        with connection.backup("main", source, "main") as backup:
            backup.step()
    finally:
        source.close()


@cache
def _empty(page_size: int) -> bytes:
    """A broker's file in which nothing is."""
    made = apsw.Connection(":memory:")
    try:
        made.pragma("page_size", page_size)
        _prepare(made, None)
        return made.serialize("main")
    finally:
        made.close()


def _migrate(connection: apsw.Connection, path: Path | None, version: int) -> None:
    """Within the transaction, so that nobody writes between the copy and the change."""
    if path is not None:
        copy = path.with_name(f"{path.name}.schema-{version}")
        _copy(path, copy)
        log.warning(
            "%s has schema %d and gets schema %d; as it was it lies in %s. Processes of the older "
            "version fail at it from now on: restart them with this one",
            path,
            version,
            SCHEMA_VERSION,
            copy.name,
        )
    for older in range(version, SCHEMA_VERSION):
        try:
            connection.execute(MIGRATIONS[older])
        except apsw.SQLError as error:  # a name that is the application's already
            raise BrokerFileError(
                f"{path} cannot be brought up to date: {error}; give the application's table "
                "another name, with the version that wrote the file"
            ) from error


def _copy(path: Path, copy: Path) -> None:
    """Copy a broker file, what is committed and not yet in it too; all of it or nothing."""
    try:
        copy_file(path, copy)
    except (apsw.Error, OSError) as error:
        raise BrokerFileError(
            f"{path} must be copied to {copy.name} before it is brought up to date, and cannot "
            f"be: {error}"
        ) from error


@cache
def _sql(name: str) -> str:
    return Path(__file__).with_name(name).read_text()
