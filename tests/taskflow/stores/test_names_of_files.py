"""A file that another process removes, and makes anew under its name, while this one is at it."""

from pathlib import Path
from typing import Any

import apsw
import pytest

from taskflow.stores.sqlite.connecting import connect
from taskflow.stores.sqlite.store import SqliteStore


def replace(path: Path, keep: list[apsw.Connection]) -> None:
    """As another process may; what is in the new file lies in its WAL."""
    for end in ("", "-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    connection.execute("CREATE TABLE new (one)")
    keep.append(connection)


def tables(path: Path) -> set[str]:
    connection = apsw.Connection(str(path))
    try:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    finally:
        connection.close()


def test_what_is_open_is_the_file_of_that_name_when_it_is_replaced_meanwhile(
    tmp_path: Path,
) -> None:
    path, keep = tmp_path / "broker.db", list[apsw.Connection]()
    SqliteStore(path, durable=False).close()
    calls = 0

    def accept(_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            replace(path, keep)

    store = SqliteStore(path, durable=False, accept=accept)
    assert not store.is_there()  # and so it is told of by the first change
    store.close()
    assert "new" in tables(path)
    keep.pop().close()


def test_a_file_that_went_away_meanwhile_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "broker.db"
    with pytest.raises(apsw.CantOpenError):
        connect(path, create=False)
    assert not path.exists()
    connect(path).close()
    assert path.exists()
