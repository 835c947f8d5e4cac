"""The SQLite store: one file (or `:memory:`), one connection per process, WAL."""

import os
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.resources import files
from pathlib import Path

import apsw

from taskflow.errors import BrokerFileError, BrokerUnavailable
from taskflow.stores.base import Rows
from taskflow.stores.doorbell import Doorbell
from taskflow.stores.durability import Checkpointer, DiskSync
from taskflow.stores.rows import SqliteRows
from taskflow.stores.transaction import (
    BUSY_TIMEOUT_MS,
    Reading,
    Writing,
    folder_exists,
    translate,
)

APPLICATION_ID = 0x7461736B  # "task"
SCHEMA_VERSION = 1


class SqliteStore:
    """Rows in SQLite.

    `path` is None for `:memory:` (one process). `durable` makes `sync` wait for the disk.
    `create=False` refuses a file that does not exist.
    Raises BrokerFileError when the file cannot be used.
    """

    def __init__(self, path: Path | None, *, durable: bool, create: bool = True) -> None:
        check_sqlite_version(apsw.sqlite_lib_version())
        self._path = path
        self._lock = threading.RLock()
        self._closed = False
        self._bell: Doorbell | None = None
        self._disk: DiskSync | None = None
        self._checkpointer: Checkpointer | None = None
        self.poll_interval = None if path is None else 1.0
        self.durable = durable and path is not None
        if path is not None and not create and folder_exists(path) and not path.exists():
            raise BrokerFileError(f"{path} does not exist; the first worker or publish makes it")
        with self._translated():
            self._connection = connect(path)
            try:
                self._prepare()
                if path is not None:
                    self._connection.pragma("journal_mode", "wal")
                    self._connection.pragma("user_version")  # a first look makes the WAL
            except BaseException:
                self._connection.close()
                raise
        rows, execute = SqliteRows(self._connection), self._connection.execute
        if path is not None:
            self._bell = Doorbell(path)
            self._checkpointer = Checkpointer(lambda: connect(path))
            self._connection.set_wal_hook(self._wal_grew)
            if durable:
                self._disk = DiskSync(path)
        committed = self._disk.committed if self._disk is not None else None
        self._reading = Reading(path, self._lock, rows, execute)
        self._writing = Writing(path, self._lock, rows, execute, committed)

    def _prepare(self) -> None:
        """Make the schema in a new file, or check that this one is ours."""
        connection = self._connection
        if connection.readonly("main"):
            raise BrokerFileError(f"{self._path} is read-only; the broker must write")
        connection.execute("BEGIN IMMEDIATE")
        try:
            application = connection.pragma("application_id")
            version = connection.pragma("user_version")
            tables = connection.execute("SELECT count(*) FROM sqlite_schema").get
            if application != APPLICATION_ID and tables:
                raise BrokerFileError(f"{self._path} is an SQLite file, but no taskflow broker")
            if version > SCHEMA_VERSION:
                raise BrokerFileError(
                    f"{self._path} was written by a newer taskflow (schema {version}; "
                    f"this one knows up to {SCHEMA_VERSION}): upgrade taskflow"
                )
            if not tables:
                connection.execute(files("taskflow.stores").joinpath("schema.sql").read_text())
                connection.pragma("application_id", APPLICATION_ID)
                connection.pragma("user_version", SCHEMA_VERSION)
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    def write(self) -> AbstractContextManager[Rows]:
        return self._writing

    def read(self) -> AbstractContextManager[Rows]:
        return self._reading

    def sync(self) -> None:
        if self._disk is not None and not self._writing.is_mine():  # else when that is committed
            with self._translated():
                self._disk.wait()

    def _wal_grew(self, connection: apsw.Connection, name: str, pages: int) -> int:
        assert self._checkpointer is not None
        self._checkpointer.wal_has(pages)
        return apsw.SQLITE_OK

    def ring(self, queues: Collection[str]) -> None:
        if self._bell is not None:
            self._bell.ring(queues)

    def listen(self, heard: Callable[[Collection[str]], None]) -> None:
        if self._bell is not None:
            self._bell.listen(heard)

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for part in (self._bell, self._checkpointer, self._disk):
                if part is not None:
                    part.close()
            self._connection.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (apsw.Error, OSError) as error:
            raise translate(error, self._path) from error


def connect(path: Path | None) -> apsw.Connection:
    """A connection as the broker needs it.

    synchronous=NORMAL: commits do not wait for the disk (`durability` does that, apart), the
    file cannot be corrupted by a power cut.
    """
    connection = apsw.Connection(":memory:" if path is None else os.fspath(path))
    try:
        connection.set_busy_timeout(BUSY_TIMEOUT_MS)
        connection.pragma("synchronous", "normal")
        connection.pragma("foreign_keys", True)
        connection.pragma("temp_store", "memory")
        connection.pragma("cache_size", -16_000)
        connection.wal_autocheckpoint(0)
    except BaseException:
        connection.close()
        raise
    return connection


def check_sqlite_version(version: str) -> None:
    """Raise BrokerUnavailable for an SQLite with the WAL-reset race (3.7.0 to 3.51.2).

    Two connections that write or checkpoint at once could lose rows:
    https://sqlite.org/wal.html#walresetbug. Fixed in 3.51.3, 3.50.7 and 3.44.6.
    """
    found = tuple(int(part) for part in version.split("."))
    fixed = found >= (3, 51, 3) or (3, 50, 7) <= found < (3, 51) or (3, 44, 6) <= found < (3, 45)
    if not fixed:
        raise BrokerUnavailable(
            f"apsw brings SQLite {version}, which can lose rows (WAL-reset race); "
            "install apsw 3.51.3 or newer"
        )
