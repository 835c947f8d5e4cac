"""What a connection keeps of declarations holds: whoever changes them, and whatever is undone."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from taskflow.broker import QueueSettings
from taskflow.stores.rows import Rows
from taskflow.stores.sqlite.store import SqliteStore


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqliteStore]:
    path = None if request.param == "memory" else tmp_path / "broker.db"
    store = SqliteStore(path, durable=False)
    yield store
    store.close()


def retention(rows: Rows) -> float | None:
    found = rows.queue("work")
    return None if found is None else found.settings.retention


def put(seconds: float) -> Callable[[Rows], Any]:
    return lambda rows: rows.put_queue("work", QueueSettings(retention=seconds), 1.0)


def test_what_was_undone_is_not_kept(store: SqliteStore) -> None:
    store.transact(put(100))
    assert store.look(retention) == 100

    def change(rows: Rows) -> None:
        put(200)(rows)
        assert retention(rows) == 200
        raise KeyError

    with pytest.raises(KeyError):
        store.transact(change)
    assert store.look(retention) == 100

    def in_part(rows: Rows) -> float | None:
        with pytest.raises(KeyError):
            rows.undoing(lambda: change(rows))
        return retention(rows)

    assert store.transact(in_part) == 100


def test_what_others_change_is_seen_at_the_next_look(tmp_path: Path) -> None:
    mine, other = (SqliteStore(tmp_path / "broker.db", durable=False) for _ in range(2))
    mine.transact(put(100))

    def twice(rows: Rows) -> list[float | None]:
        return [retention(rows), retention(rows)]

    assert mine.transact(twice) == [100, 100]
    other.transact(put(200))
    assert mine.look(retention) == 200
    other.transact(put(300))
    assert mine.transact(twice) == [300, 300]
    for store in (mine, other):
        store.close()


def test_the_stamp_is_read_no_more_than_it_may_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def hook(connection: apsw.Connection) -> None:
        def trace(cursor: apsw.Cursor, sql: str, values: object) -> bool:
            asked.append(sql)
            return True

        connection.exec_trace = trace

    monkeypatch.setattr(apsw, "connection_hooks", [hook])
    for path, reads in ((None, 0), (tmp_path / "broker.db", 3)):
        store = SqliteStore(path, durable=False)
        store.transact(put(100))
        store.look(retention)
        asked.clear()
        store.look(retention)
        store.look(retention)
        store.transact(lambda rows: [retention(rows) for _ in range(5)])
        assert sum("FROM topology" in sql for sql in asked) == reads
        store.close()
