"""Connections to a broker's file, as the broker needs them."""

import os
from contextlib import suppress
from pathlib import Path

import apsw

from taskflow.errors import BrokerUnavailable
from taskflow.stores.sqlite.patience import LONGEST

PAGE_SIZE = 2048  # bytes: of the pages that a change writes little changes


def make_private(path: Path) -> None:
    """A new broker file is its owner's alone: bodies and keys lie in it. (SQLite gives the WAL the
    same rights; who shares the file changes them.)"""
    with suppress(OSError):  # it exists; what else is wrong SQLite says better
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def connect(path: Path | None, *, checkpoints: bool = True, create: bool = True) -> apsw.Connection:
    """A connection as the broker needs it.

    synchronous=NORMAL: commits do not wait for the disk (`durability` does that, apart), the
    file cannot be corrupted by a power cut. ENABLE_QPSG: plans do not depend on what is bound; else
    SQLite would compile a statement with `LIMIT ?` anew each time it is run, which takes several
    times as long as to run it. `checkpoints`: closing the last one empties the WAL. Without
    `create` a file that is missing stays so.
    """
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
    connection = apsw.Connection(":memory:" if path is None else os.fspath(path), flags)
    try:
        connection.set_busy_timeout(int(LONGEST * 1000))
        connection.pragma("page_size", PAGE_SIZE)  # of a new file; an old one keeps its own
        connection.pragma("synchronous", "normal")
        connection.pragma("foreign_keys", True)
        connection.pragma("temp_store", "memory")
        connection.pragma("cache_size", -16_000)
        connection.wal_autocheckpoint(0)
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        if not checkpoints:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
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
