"""Changing a file that nobody else has open."""

from collections.abc import Callable
from pathlib import Path

import apsw

from taskflow.errors import BrokerUnavailable
from taskflow.stores.rows import Rows
from taskflow.stores.sqlite.connecting import connect
from taskflow.stores.sqlite.rows import SqliteRows
from taskflow.stores.sqlite.translation import translate

_PATIENCE_MS = 1000


def change_alone(path: Path, work: Callable[[Rows], None]) -> None:
    """Run `work` in one transaction, on disk when this returns. Raises BrokerUnavailable when some
    process has the file open, and lets nobody open it meanwhile."""
    connection = connect(path)
    connection.set_busy_timeout(_PATIENCE_MS)
    try:
        connection.pragma("locking_mode", "exclusive")
        connection.pragma("journal_mode", "delete")  # which takes all locks, and leaves the WAL
        connection.pragma("synchronous", "full")
        with connection:
            rows = SqliteRows(connection)
            rows.begun()
            work(rows)
    except apsw.BusyError as error:
        raise BrokerUnavailable(
            f"some process has {path} open: stop all that use it for this, since they would not "
            "notice (a broker of several files, or one that was made with `?shards=1`, is changed "
            "while it is in use)"
        ) from error
    except apsw.Error as error:
        raise translate(error, path) from error
    finally:
        connection.close()
