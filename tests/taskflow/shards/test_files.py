"""The files of a broker of several: made, found, and refused when one is not what it should be."""

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from taskflow import open_broker
from taskflow.brokers import open_address
from taskflow.brokers.sharded.broker import ShardedBroker
from taskflow.brokers.sharded.guard import Guard
from taskflow.brokers.sharded.shard_map import read_map, write_map
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.errors import BrokerFileError, ConfigError
from taskflow.message import Message
from taskflow.stores.sqlite.store import SqliteStore


@pytest.fixture
def leader(tmp_path: Path) -> Path:
    """A broker of three files, closed."""
    path = tmp_path / "broker.db"
    open_broker(f"sqlite:///{path}?shards=3").close()
    return path


def shard(leader: Path, number: int) -> Path:
    return leader.with_name(f"broker.db.shard{number}")


def reopen(leader: Path, options: str = "") -> ShardedBroker:
    broker = open_broker(f"sqlite:///{leader}{options}")
    assert isinstance(broker, ShardedBroker)
    return broker


def test_a_new_broker_has_as_many_files_and_is_found_without_the_number(leader: Path) -> None:
    assert {one.name for one in leader.parent.iterdir()} >= {
        "broker.db",
        "broker.db.shard1",
        "broker.db.shard2",
    }
    for options in ("", "?shards=3"):
        broker = reopen(leader, options)
        assert len(broker.shards) == 3
        broker.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [("shards=2", "has 3 files, not 2"), ("shards=1", "has 3 files"), ("shards=x", "1 to 64")],
)
def test_another_number_is_refused(leader: Path, options: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        open_broker(f"sqlite:///{leader}?{options}")


def test_one_file_stays_one(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/one.db"
    one = open_broker(address)
    assert isinstance(one, StoredBroker)
    one.close()
    with pytest.raises(ConfigError, match="has 1 file, not 8"):
        open_broker(f"{address}?shards=8")
    assert [each.name for each in tmp_path.iterdir()] == ["one.db"]


def test_nothing_is_made_where_a_file_is_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(BrokerFileError, match="does not exist"):
        open_broker(f"sqlite:///{tmp_path}/broker.db?shards=3", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_an_error_and_never_an_empty_one(leader: Path) -> None:
    shard(leader, 2).unlink()
    with pytest.raises(BrokerFileError, match=r"shard2 is missing: it is one of the 3 files"):
        reopen(leader)
    assert not shard(leader, 2).exists()


@pytest.mark.parametrize("options", ["", "?shards=3", "?shards=1"])
def test_a_missing_leader_is_an_error_and_never_an_empty_one(leader: Path, options: str) -> None:
    for end in ("", "-wal", "-shm"):
        Path(f"{leader}{end}").unlink(missing_ok=True)
    with pytest.raises(BrokerFileError, match=r"is missing, and broker\.db\.shard1 lies beside it"):
        reopen(leader, options)
    assert not leader.exists()


@pytest.mark.parametrize("options", ["", "?shards=2"])
def test_a_name_that_no_file_can_have_is_an_error_of_ours(tmp_path: Path, options: str) -> None:
    with pytest.raises(BrokerFileError, match="cannot be opened; check the path"):
        open_broker(f"sqlite:///{tmp_path}/{'b' * 250}{options}")


@pytest.mark.parametrize("lead", [False, True])
def test_a_file_that_leads_none_is_not_taken_for_the_leader(leader: Path, lead: bool) -> None:
    alone = leader.with_name("alone.db")
    open_address(f"sqlite:///{alone}").close()
    alone.replace(leader)
    with pytest.raises(BrokerFileError, match="leads no others, and broker"):
        open_address(f"sqlite:///{leader}", lead=lead)


def of_another_broker(leader: Path) -> None:
    other = leader.with_name("other.db")
    open_broker(f"sqlite:///{other}?shards=3").close()
    shutil.copy(f"{other}.shard1", shard(leader, 1))


def of_another_number(leader: Path) -> None:
    shutil.copy(shard(leader, 2), shard(leader, 1))


def alone(leader: Path) -> None:
    shard(leader, 1).unlink()
    open_broker(f"sqlite:///{shard(leader, 1)}").close()


def of_another_epoch(leader: Path) -> None:
    store = SqliteStore(shard(leader, 1), durable=False)
    found = store.look(read_map)
    assert found is not None
    older = msgspec.structs.replace(found, epoch=0)
    store.transact(lambda rows: write_map(rows, older, 1.0))
    store.close()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (of_another_broker, "is a file of another broker"),
        (of_another_number, "is file 2 of this broker, and should be file 1"),
        (alone, "does not say that it is file 1 of a broker of 3"),
        (of_another_epoch, "is of epoch 0, and the broker of epoch 1"),
    ],
)
def test_a_file_that_is_another_one_is_refused(
    leader: Path, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(leader)
    with pytest.raises(BrokerFileError, match=said):
        reopen(leader)


def test_a_file_that_is_another_one_is_refused_while_it_is_open(leader: Path) -> None:
    broker = reopen(leader)
    broker.create_queue("work")
    shutil.copy(shard(leader, 2), leader.with_name("new"))
    leader.with_name("new").replace(shard(leader, 1))
    with pytest.raises(BrokerFileError, match="should be file 1"):
        broker.send("work", [Message(f"m{number}", "x") for number in range(30)])
    broker.close()


def test_a_leader_that_is_gone_is_not_made_anew(leader: Path) -> None:
    broker = reopen(leader)
    for end in ("", "-wal", "-shm"):
        Path(f"{leader}{end}").unlink()
    with pytest.raises(BrokerFileError, match="does not exist"):
        broker.create_queue("work")
    assert not leader.exists()
    broker.close()


def test_only_the_leader_is_an_address(leader: Path) -> None:
    with pytest.raises(BrokerFileError, match="is file 1 of a broker of 3: open the one"):
        open_broker(f"sqlite:///{shard(leader, 1)}")


def test_who_opens_a_broker_that_is_half_made_makes_the_rest(leader: Path) -> None:
    guard = Guard("the leader")
    store = SqliteStore(leader, durable=False, accept=guard)
    assert guard.map is not None
    half = msgspec.structs.replace(guard.map, made=False)
    store.transact(lambda rows: write_map(rows, half, 1.0))
    store.close()
    shard(leader, 2).unlink()
    broker = reopen(leader)
    assert len(broker.shards) == 3
    broker.close()


def test_files_of_another_broker_are_not_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "broker.db"
    open_broker(f"sqlite:///{path}?shards=3").close()
    path.unlink()
    shard(path, 1).unlink()
    with pytest.raises(BrokerFileError, match="is there already, and belongs to another broker"):
        open_broker(f"sqlite:///{path}?shards=3")
