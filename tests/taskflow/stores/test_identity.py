"""A broker file that is deleted, replaced, renamed or linked while it is open."""

import gc
import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskflow import forking
from taskflow.broker import Broker
from taskflow.broker.settings import Finish
from taskflow.config import open_broker
from taskflow.errors import BrokerError, FileReplaced, QueueNotFound
from taskflow.message import Message
from taskflow.publisher import publish
from taskflow.stores.sqlite.disk_sync import DiskSync
from taskflow.stores.sqlite.identity import FileIdentity
from taskflow.stores.sqlite.store import SqliteStore
from taskflow.testing import ManualClock

Disturb = Callable[[Path], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "broker.db"


@pytest.fixture
def broker(path: Path) -> Iterator[Broker]:
    """With a queue `work` that takes the topic `made`."""
    made = open_broker(f"sqlite:///{path}")
    declare(made)
    yield made
    made.close()


def declare(broker: Broker) -> None:
    broker.create_queue("work")
    broker.create_topic("made")
    broker.subscribe("made", "work")


def delete(path: Path) -> None:
    for end in ("", "-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)


def delete_database_alone(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    """By another broker file, of which nobody has spoken."""
    other = path.with_name("other.db")
    fresh = open_broker(f"sqlite:///{other}")
    declare(fresh)
    fresh.close()
    other.replace(path)


def rename(path: Path) -> None:
    path.rename(path.with_name("elsewhere.db"))


def stdlib_removes_the_wal(path: Path) -> None:
    """Another SQLite in this process knows nothing of our locks and takes the WAL away."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = delete").fetchall()
    connection.close()


@pytest.mark.parametrize("disturb", [delete, delete_database_alone, rename])
def test_what_was_answered_is_in_the_file_that_the_path_means(
    broker: Broker, path: Path, disturb: Disturb
) -> None:
    disturb(path)
    with pytest.raises(BrokerError):  # a new file has no such topic: that is said, not hidden
        broker.publish("made", [Message("1", "x")])
    declare(broker)
    broker.publish("made", [Message("2", "x")])
    other = open_broker(f"sqlite:///{path}")
    assert [found.id for found in other.peek("work")] == ["2"]
    other.close()


def test_a_publish_goes_into_the_file_that_took_the_place(broker: Broker, path: Path) -> None:
    broker.publish("made", [Message("1", "x")])
    replace(path)
    broker.publish("made", [Message("2", "x")])
    other = open_broker(f"sqlite:///{path}")
    assert [found.id for found in other.peek("work")] == ["2"]
    other.close()


def test_who_asks_again_and_again_sees_the_new_file(broker: Broker, path: Path) -> None:
    replace(path)
    with pytest.raises(FileReplaced, match="deleted or replaced"):
        broker.receive("work")
    other = open_broker(f"sqlite:///{path}")
    other.send("work", [Message("2", "x")])
    assert [found.id for found in broker.receive("work")] == ["2"]
    other.close()


def test_another_sqlite_in_the_process_costs_no_answered_message(
    broker: Broker, path: Path
) -> None:
    broker.publish("made", [Message("1", "x")])
    stdlib_removes_the_wal(path)
    try:
        broker.publish("made", [Message("2", "x")])
        answered = ["1", "2"]
    except BrokerError:
        answered = ["1"]
    other = open_broker(f"sqlite:///{path}")
    assert {found.id for found in other.peek("work")} >= set(answered)
    other.close()


def test_a_link_that_is_turned_to_another_file_is_followed(tmp_path: Path) -> None:
    link = tmp_path / "current.db"
    for name in ("a.db", "b.db"):
        made = open_broker(f"sqlite:///{tmp_path}/{name}")
        declare(made)
        made.close()
    link.symlink_to(tmp_path / "a.db")
    broker = open_broker(f"sqlite:///{link}")
    broker.publish("made", [Message("1", "x")])
    link.unlink()
    link.symlink_to(tmp_path / "b.db")
    broker.publish("made", [Message("2", "x")])
    broker.close()
    other = open_broker(f"sqlite:///{tmp_path}/b.db")
    assert [found.id for found in other.peek("work")] == ["2"]
    other.close()


def test_a_file_replaced_between_the_commit_and_the_disk_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = open_broker(f"sqlite:///{path}?durability=power")
    broker.create_queue("work")
    wait = DiskSync.wait

    def replaced_meanwhile(disk: DiskSync) -> None:
        wait(disk)
        monkeypatch.undo()
        delete(path)

    monkeypatch.setattr(DiskSync, "wait", replaced_meanwhile)
    with pytest.raises(QueueNotFound):  # repeated by `send`, in the new file
        broker.send("work", [Message("1", "x")])
    broker.close()


def test_a_relative_path_means_the_folder_of_the_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    broker = open_broker("sqlite:///broker.db")
    declare(broker)
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    broker.publish("made", [Message("1", "x")])
    broker.close()
    assert not (tmp_path / "sub" / "broker.db").exists()


def test_a_new_file_is_its_owners_alone(broker: Broker, path: Path) -> None:
    broker.publish("made", [Message("1", "x")])
    for end in ("", "-wal", "-shm"):
        assert stat.S_IMODE(Path(f"{path}{end}").stat().st_mode) == 0o600


def test_an_old_file_keeps_its_rights(path: Path) -> None:
    path.touch()
    path.chmod(0o640)
    open_broker(f"sqlite:///{path}").close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_opening_anew_leaks_no_file(broker: Broker, path: Path) -> None:
    def count() -> int:
        gc.collect()  # what other tests have left is no leak of this one
        return len(list(Path("/proc/self/fd").iterdir()))

    replace(path)
    broker.publish("made", [Message("0", "x")])
    before = count()
    for number in range(1, 5):
        replace(path)
        broker.publish("made", [Message(str(number), "x")])
    assert count() == before


def test_threads_at_once_find_the_new_file_together(broker: Broker, path: Path) -> None:
    replace(path)
    go, answered = threading.Barrier(4), []

    def publish(number: int) -> None:
        go.wait(10)
        broker.publish("made", [Message(str(number), "x")])
        answered.append(str(number))

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    other = open_broker(f"sqlite:///{path}")
    assert {found.id for found in other.peek("work")} == set(answered) == {"0", "1", "2", "3"}
    other.close()


def test_what_was_handled_from_the_old_file_is_handled_again_from_its_copy(
    broker: Broker, path: Path
) -> None:
    """A restore from a backup makes one: at least once, whatever was acknowledged meanwhile."""
    broker.publish("made", [Message("1", "x")])
    broker.close()
    broker = open_broker(f"sqlite:///{path}")
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    (found,) = broker.receive("work")
    copy.replace(path)
    broker.delete([Finish(found)])
    with pytest.raises(FileReplaced):
        broker.receive("work")
    assert [again.id for again in broker.receive("work")] == ["1"]
    broker.close()


@pytest.mark.parametrize("seconds", [0.0, 10.0])
@pytest.mark.parametrize("change", ["deleted", "replaced", "the WAL deleted", "beside it"])
def test_however_often_it_was_looked_at_a_change_is_seen(
    tmp_path: Path, change: str, seconds: float
) -> None:
    """Once the time of the last change is surely over, it looks at the folder alone; until then a
    change may leave the folder as it was seen."""
    path, wal = tmp_path / "broker.db", tmp_path / "broker.db-wal"
    path.touch()
    wal.touch()
    seen = tmp_path.stat().st_mtime_ns | 1  # not a whole second
    os.utime(tmp_path, ns=(seen, seen))
    identity = FileIdentity(path, path, ManualClock(seen / 1e9 + seconds))
    assert identity.holds()
    assert identity.holds()
    if change == "deleted":
        path.unlink()
    elif change == "replaced":
        (tmp_path / "new.db").touch()
        (tmp_path / "new.db").replace(path)
    elif change == "the WAL deleted":
        wal.unlink()
    else:
        (tmp_path / "other").touch()
    if not seconds:
        os.utime(tmp_path, ns=(seen, seen))
    assert identity.holds() == (change == "beside it")
    assert identity.holds() == (change == "beside it")


@pytest.mark.parametrize("then", ["a change", "a fork", "the end"])
def test_a_wal_that_is_left_goes_into_no_other_file(
    broker: Broker, path: Path, tmp_path: Path, then: str
) -> None:
    """As when a copy is put back by its name alone, whatever comes next."""
    broker.send("work", [Message(f"old {at}", "x" * 1000) for at in range(50)])
    copy = open_broker(f"sqlite:///{tmp_path}/copy.db")
    declare(copy)
    copy.send("work", [Message(f"saved {at}", "x" * 1000) for at in range(40)])
    copy.close()
    (tmp_path / "copy.db").rename(path)
    if then == "a change":
        broker.create_queue("third")
    elif then == "a fork":
        for act in (forking._before, forking._after_in_parent):
            act()
    else:
        broker.close()
        broker = open_broker(f"sqlite:///{path}")
    assert {one.id.split()[0] for one in broker.peek("work", 100)} == {"saved"}
    assert broker.waiting("work", 100) == 40
    broker.close()


def test_a_link_that_is_turned_leaves_the_other_file_its_wal(tmp_path: Path) -> None:
    link = tmp_path / "broker.db"
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    link.symlink_to(tmp_path / "old" / "old.db")
    broker = open_broker(f"sqlite:///{link}")
    other = open_broker(f"sqlite:///{tmp_path}/new/new.db")
    declare(broker)
    declare(other)
    other.send("work", [Message("theirs", "x")])
    (tmp_path / "turned").symlink_to(tmp_path / "new" / "new.db")
    (tmp_path / "turned").rename(link)
    broker.create_queue("third")
    assert [one.id for one in broker.peek("work", 10)] == ["theirs"]
    for one in (broker, other):
        one.close()


def test_a_file_replaced_and_left_for_a_fork_after_the_commit_is_told(
    broker: Broker, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is open anew before the one who committed has looked."""
    copy = open_broker(f"sqlite:///{tmp_path}/copy.db")
    declare(copy)
    copy.close()
    wait = DiskSync.wait

    def late(disk: DiskSync) -> None:
        monkeypatch.setattr(DiskSync, "wait", wait)
        for end in ("-wal", "-shm"):
            Path(f"{path}{end}").unlink()
        (tmp_path / "copy.db").rename(path)
        for act in (forking._before, forking._after_in_parent):
            act()
        wait(disk)

    monkeypatch.setattr(DiskSync, "wait", late)
    broker.send("work", [Message("saved", "x")])
    assert [one.id for one in broker.peek("work", 10)] == ["saved"]


# ---- a link that is turned, and a fork -----------------------------------------------------------
def turned(tmp_path: Path) -> tuple[Path, Path, SqliteStore]:
    """A store by a link, which has been turned since; to where, and the store."""
    link = tmp_path / "broker.db"
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    link.symlink_to(tmp_path / "old" / "old.db")
    store = SqliteStore(link, durable=False)
    store.listen()
    (tmp_path / "turned").symlink_to(tmp_path / "new" / "new.db")
    (tmp_path / "turned").rename(link)
    return tmp_path / "old" / "old.db", tmp_path / "new" / "new.db", store


def bells(database: Path) -> int:
    folder = Path(f"{database}-bells")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def test_after_a_fork_the_bell_hangs_beside_the_file_that_the_link_means(tmp_path: Path) -> None:
    """The fork is where the new file is opened: nobody has looked before."""
    old, new, store = turned(tmp_path)
    assert bells(old) == 1
    for act in (forking._before, forking._after_in_parent):
        act()
    other = SqliteStore(new, durable=False)
    assert (bells(old), bells(new)) == (0, 1)
    other.ring(["work"])
    assert store.hear(20) == ["work"]
    other.listen()
    store.ring(["other"])
    assert other.hear(20) == ["other"]
    for one in (store, other):
        one.close()


def test_so_it_does_in_the_child(tmp_path: Path) -> None:
    _, new, store = turned(tmp_path)
    other = SqliteStore(new, durable=False)
    other.listen()
    child = os.fork()
    if not child:
        store.look(lambda rows: None)
        store.ring(["child"])
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert other.hear(20) == ["child"]
    for one in (store, other):
        one.close()


# ---- another SQLite in this process --------------------------------------------------------------
@pytest.mark.parametrize("durability", ["power", "process"])
def test_what_another_sqlite_has_played_in_is_stored_once(
    path: Path, durability: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes the WAL away after the commit, before it is looked whether the file is as it was."""
    broker = open_broker(f"sqlite:///{path}?durability={durability}")
    declare(broker)
    for _ in range(2):
        publish("made", {}, broker=broker)  # from the second one on, the plain way
    look = FileIdentity.look
    taken: list[Path] = []

    def late(file: FileIdentity) -> object:
        if broker.waiting("work", 10) == 3 and not taken:
            taken.append(path)
            stdlib_removes_the_wal(path)
        return look(file)

    monkeypatch.setattr(FileIdentity, "look", late)
    last = publish("made", {}, broker=broker)
    monkeypatch.undo()
    assert taken, "it was looked at after the commit"
    assert [one.id for one in broker.peek("work", 10)][2:] == [last]
    broker.close()
