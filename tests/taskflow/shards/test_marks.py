"""A file that is an older copy than the others is refused, and no file that is none."""

import shutil
from pathlib import Path
from typing import cast

import pytest

from taskflow import open_broker
from taskflow.brokers.sharded.broker import ShardedBroker
from taskflow.brokers.sharded.marks import EVERY
from taskflow.errors import BrokerFileError
from taskflow.message import Message
from taskflow.testing import ManualClock
from tests.taskflow.shards.conftest import Open
from tests.taskflow.shards.dying import dying_before_the_commit_of

FILES = ("broker.db", "broker.db.shard1")


@pytest.fixture
def folder(tmp_path: Path, broker: ShardedBroker) -> Path:
    """Of a broker that is closed and had three marks."""
    work_for(3, broker)
    broker.close()
    return tmp_path


def work_for(marks: int, broker: ShardedBroker) -> None:
    for _ in range(marks):
        cast(ManualClock, broker.clock).advance(EVERY)
        broker.upkeep()


@pytest.mark.parametrize("name", FILES)
def test_an_older_copy_among_them_is_refused_and_nothing_is_written(
    folder: Path, opened: Open, name: str
) -> None:
    shutil.copy(folder / name, folder / "copy")
    broker = opened()
    work_for(2, broker)
    broker.close()
    shutil.copy(folder / "copy", folder / name)
    with pytest.raises(BrokerFileError, match=rf"/{name} is an older copy than .*/broker\.db"):
        opened()
    assert (folder / name).read_bytes() == (folder / "copy").read_bytes()


def test_copies_of_one_moment_are_taken(folder: Path, opened: Open) -> None:
    broker = opened()
    broker.back_up(folder / "backup.db")
    work_for(5, broker)
    broker.close()
    for name in FILES:
        for end in ("-wal", "-shm"):
            (folder / f"{name}{end}").unlink(missing_ok=True)
        shutil.copy(folder / name.replace("broker", "backup"), folder / name)
    work_for(3, opened())


def test_one_that_is_replaced_while_it_is_open_is_told_with_the_next_mark(
    folder: Path, opened: Open
) -> None:
    shutil.copy(folder / FILES[1], folder / "copy")
    broker = opened()
    work_for(2, broker)
    for end in ("-wal", "-shm"):
        (folder / f"{FILES[1]}{end}").unlink()
    (folder / "copy").replace(folder / FILES[1])
    with pytest.raises(BrokerFileError, match="shard1"):
        work_for(2, broker)


def test_a_leader_that_is_replaced_while_it_is_open_is_told_with_the_next_mark(
    folder: Path, opened: Open
) -> None:
    shutil.copy(folder / FILES[0], folder / "copy")
    broker = opened()
    work_for(5, broker)
    for end in ("-wal", "-shm"):
        (folder / f"{FILES[0]}{end}").unlink()
    (folder / "copy").replace(folder / FILES[0])
    broker.create_topic("another")
    with pytest.raises(BrokerFileError, match=r"/broker\.db is an older copy than .*shard1"):
        work_for(1, broker)


@pytest.mark.parametrize("number", [0, 1])
def test_whoever_dies_at_a_mark_leaves_files_that_are_taken(
    broker: ShardedBroker, opened: Open, number: int
) -> None:
    for _ in range(4):
        doomed = opened()
        with dying_before_the_commit_of(doomed, number):
            work_for(1, doomed)
        doomed.close()
        opened().send("work", [Message(f"{number}", "x") for number in range(8)])
    work_for(3, broker)
    opened()


def test_files_that_are_added_have_the_mark_of_the_leader(
    broker: ShardedBroker, taskflow_clock: ManualClock, tmp_path: Path
) -> None:
    work_for(4, broker)
    broker.resharding.run(4)
    work_for(1, broker)
    again = cast(
        ShardedBroker, open_broker(f"sqlite:///{tmp_path}/broker.db", clock=taskflow_clock)
    )
    assert len(again.shards) == 4
    again.close()
