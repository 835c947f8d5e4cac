"""What is on disk of several files when the power goes is a broker that opens."""

import shutil
from pathlib import Path
from typing import cast

import pytest

from taskflow import open_broker
from taskflow.brokers.sharded.broker import ShardedBroker
from taskflow.brokers.sharded.marks import EVERY
from taskflow.message import Message
from taskflow.stores.sqlite import disk_sync
from taskflow.testing import ManualClock

LEADER, OTHER = "broker.db", "broker.db.shard1"


def copy(name: str, folder: Path, to: Path) -> None:
    for end in ("", "-wal"):
        shutil.copy(folder / f"{name}{end}", to)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files lie as they were when they were synced last."""
    disk, to_disk = tmp_path / "disk", disk_sync._to_disk
    disk.mkdir()

    def sync(file: int) -> None:
        to_disk(file)
        wal = Path(f"/dev/fd/{file}").resolve()
        if wal.exists():
            copy(wal.name.removesuffix("-wal"), wal.parent, disk)

    monkeypatch.setattr(disk_sync, "_to_disk", sync)
    return disk


@pytest.fixture(params=["process", "power"])
def broker(
    tmp_path: Path, disk: Path, taskflow_clock: ManualClock, request: pytest.FixtureRequest
) -> ShardedBroker:
    address = f"sqlite:///{tmp_path}/broker.db?durability={request.param}&shards=2"
    broker = cast(ShardedBroker, open_broker(address, clock=taskflow_clock))
    broker.create_queue("work")
    for name in (LEADER, OTHER):
        copy(name, tmp_path, disk)
    return broker


def test_of_the_leader_more_than_of_the_others(
    broker: ShardedBroker, disk: Path, tmp_path: Path, taskflow_clock: ManualClock
) -> None:
    for _ in range(4):
        taskflow_clock.advance(EVERY)
        broker.upkeep()
    copy(LEADER, tmp_path, disk)
    broker.close()
    open_broker(f"sqlite:///{disk}/{LEADER}", clock=taskflow_clock).close()


def test_a_file_that_is_removed_is_named_by_none_that_is_left(
    broker: ShardedBroker, disk: Path, tmp_path: Path, taskflow_clock: ManualClock
) -> None:
    """A folder may be on disk before what was written last into a file."""
    broker.send("work", [Message(f"id-{number}", "x") for number in range(9)])
    broker.resharding.run(1)
    assert not (tmp_path / OTHER).exists()
    broker.close()
    for end in ("", "-wal"):
        (disk / f"{OTHER}{end}").unlink()
    again = open_broker(f"sqlite:///{disk}/{LEADER}", clock=taskflow_clock)
    assert again.counts("work").visible == 9
    again.close()
