"""SQLite removes the WAL by its name when the last one closes a file. Nobody takes the file away
meanwhile and makes another one of that name; or else the WAL stays."""

from pathlib import Path
from typing import Any

import apsw
import pytest

from taskflow.brokers.sharded.broker import ShardedBroker
from taskflow.brokers.sharded.files import path_of
from taskflow.errors import BrokerFileError
from taskflow.message import Message
from taskflow.stores.sqlite import patience
from taskflow.stores.sqlite.file_copy import Snapshot
from taskflow.stores.sqlite.store import SqliteStore
from tests.taskflow.shards.conftest import Open

IDS = {f"id-{number}" for number in range(60)}


@pytest.fixture
def second(broker: ShardedBroker) -> Path:
    """The second file. What was sent there lies in its WAL still."""
    broker.send("work", [Message(id, "x") for id in IDS])
    return path_of(broker.course.leader, 1)


def size_of_wal(path: Path) -> int:
    return path.with_name(f"{path.name}-wal").stat().st_size


@pytest.mark.parametrize("how", ["the broker", "the file"])
def test_while_a_file_is_closed_the_leader_is_locked(broker: ShardedBroker, how: str) -> None:
    locked: list[bool] = []
    other = apsw.Connection(str(broker.course.leader))
    database: Any = broker.shards[1].store._database
    let_go = database._let_go

    def look(*, checkpoint: bool) -> None:
        assert checkpoint
        try:
            other.execute("BEGIN IMMEDIATE; ROLLBACK")
            locked.append(False)
        except apsw.BusyError:
            locked.append(True)
        let_go(checkpoint=checkpoint)

    database._let_go = look
    if how == "the broker":
        broker.close()
    else:
        broker.course._let_go(1)
    other.close()
    assert locked == [True]


def test_where_the_leader_is_locked_for_long_the_wal_stays(
    broker: ShardedBroker, second: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "HURRIED", 0.0)
    other = apsw.Connection(str(broker.course.leader))
    other.execute("BEGIN IMMEDIATE")
    broker.close()
    other.close()
    assert size_of_wal(second) > 0
    again = opened()
    assert {one.id for one in again.peek("work", 100)} == IDS
    again.close()
    assert [one.name for one in second.parent.glob("*-wal")] == []


def test_before_a_fork_the_wal_stays(broker: ShardedBroker, second: Path) -> None:
    database = broker.shards[1].store._database
    before = size_of_wal(second)
    assert database.before_fork(1.0)
    assert size_of_wal(second) == before > 0
    database.after_fork(False)
    assert {one.id for one in broker.peek("work", 100)} == IDS


def test_who_is_refused_leaves_the_wal(broker: ShardedBroker, second: Path) -> None:
    before = size_of_wal(second)
    broker.shards[1].store.close(checkpoint=False)

    def refuse(_: Any) -> None:
        raise BrokerFileError("another one")

    with pytest.raises(BrokerFileError, match="another one"):
        SqliteStore(second, durable=False, create=False, accept=refuse)
    assert size_of_wal(second) == before > 0


def test_who_has_copied_a_file_leaves_the_wal(broker: ShardedBroker, second: Path) -> None:
    before = size_of_wal(second)
    broker.shards[1].store.close(checkpoint=False)
    Snapshot(second).close()
    assert size_of_wal(second) == before > 0
