"""Rings between brokers on one file."""

import errno
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from taskflow.config import open_broker
from taskflow.message import Message
from taskflow.stores.sqlite import doorbell
from taskflow.stores.sqlite.doorbell import Doorbell

WAIT = 10.0


def test_a_send_wakes_a_long_poll_of_another_process_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"sqlite:///{tmp_path}/broker.db?durability=process"
    sender, receiver = open_broker(address), open_broker(address)
    sender.create_queue("work")
    monkeypatch.setattr(receiver.store, "poll_interval", None)  # type: ignore[attr-defined]
    bells = tmp_path / "broker.db-bells"
    with ThreadPoolExecutor() as pool:
        polling = pool.submit(receiver.receive, "work", wait=WAIT)
        while not (bells.is_dir() and list(bells.iterdir())):
            assert not polling.done()
        sender.send("work", [Message("1", "x")])
        assert [found.id for found in polling.result(WAIT / 2)] == ["1"]
    for broker in (sender, receiver):
        broker.close()
    assert list(bells.iterdir()) == [], "bells are taken down"


def test_the_bell_of_a_killed_process_is_taken_down(tmp_path: Path) -> None:
    folder = tmp_path / "broker.db-bells"
    folder.mkdir()
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    dead.bind(str(folder / "1-dead"))
    dead.close()
    bell = Doorbell(tmp_path / "broker.db")
    bell.ring(["work"])
    assert list(folder.iterdir()) == []
    bell.close()


def test_a_listener_that_does_not_listen_blocks_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "broker.db-bells"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(folder / "1-deaf"))
        bell = Doorbell(tmp_path / "broker.db")
        for _ in range(1000):
            bell.ring(["work"])
        bell.close()


def test_long_paths_have_bells_too(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 60) / ("e" * 60)
    folder.mkdir(parents=True)
    listener, ringer = Doorbell(folder / "broker.db"), Doorbell(folder / "broker.db")
    listener.listen()
    ringer.ring(["audit", "work"])
    assert listener.hear(WAIT) == ["audit", "work"]
    for bell in (listener, ringer):
        bell.close()


@pytest.mark.parametrize("replace", ["removed", "renamed"])
def test_a_folder_that_takes_the_place_of_another_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replace: str
) -> None:
    monkeypatch.setattr(doorbell, "LOOK_AGAIN", 1)
    folder = tmp_path / "broker.db-bells"
    folder.mkdir()
    ringer = Doorbell(tmp_path / "broker.db")
    ringer.ring(["work"])  # it knows the folder now
    if replace == "removed":
        folder.rmdir()
    else:
        folder.rename(tmp_path / "old")
    listener = Doorbell(tmp_path / "broker.db")
    listener.listen()
    ringer.ring(["work"])
    assert listener.hear(WAIT) == ["work"]
    for bell in (listener, ringer):
        bell.close()


def test_a_ring_after_the_end_opens_nothing(tmp_path: Path) -> None:
    (tmp_path / "broker.db-bells").mkdir()
    bell = Doorbell(tmp_path / "broker.db")
    bell.close()
    bell.ring(["work"])
    assert bell._folder_file == -1


def test_a_bell_that_cannot_hang_is_told_and_survived(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "broker.db-bells").write_text("in the way")
    bell = Doorbell(tmp_path / "broker.db")
    bell.listen()
    bell.ring(["work"])
    assert not bell.hears()
    assert bell.hear(WAIT) == (), "there is nothing to wait for"
    bell.close()
    assert "noticed by polling" in caplog.text


def test_one_does_not_ring_at_home(tmp_path: Path) -> None:
    bell = Doorbell(tmp_path / "broker.db")
    bell.listen()
    bell.ring(["work"])
    assert bell.hear(0.0) is None
    bell.close()


def test_what_nobody_heard_is_heard_at_once_and_together(tmp_path: Path) -> None:
    listener, ringer = Doorbell(tmp_path / "broker.db"), Doorbell(tmp_path / "broker.db")
    listener.listen()
    ringer.ring(["work"])
    ringer.ring(["audit"])
    assert listener.hear(WAIT) == ["work", "audit"]
    assert listener.hear(0.0) is None
    for bell in (listener, ringer):
        bell.close()


@pytest.mark.parametrize("end", ["wake", "close"])
def test_who_hears_is_let_go(tmp_path: Path, end: str) -> None:
    bell = Doorbell(tmp_path / "broker.db")
    bell.listen()
    with ThreadPoolExecutor() as pool:
        hearing = pool.submit(bell.hear, None)
        getattr(bell, end)()  # before it waits, or while it does
        assert list(hearing.result(WAIT) or ()) == []
    assert bell.hear(0.0) == (None if end == "wake" else ())
    bell.close()
    bell.wake()


def test_a_ring_that_names_nothing_is_survived(tmp_path: Path) -> None:
    """Anybody who may write into the folder may send one."""
    broker = open_broker(f"sqlite:///{tmp_path}/broker.db?durability=process")
    broker.create_queue("work")
    broker.store.listen()  # type: ignore[attr-defined]
    folder = tmp_path / "broker.db-bells"
    (bell,) = folder.iterdir()
    here = os.open(folder, os.O_RDONLY)  # its path may be longer than an address of a socket
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        for nothing in (b"", b"\n"):
            stranger.sendto(nothing, f"/proc/self/fd/{here}/{bell.name}")
    os.close(here)
    assert broker.store.hear(0.0) == ["", "", ""]  # type: ignore[attr-defined]
    broker.core.waiters.heard(["", "work"])  # type: ignore[attr-defined]
    broker.close()


def test_a_ring_for_which_there_are_no_files_left_never_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it tells of is stored."""
    listener, ringer = Doorbell(tmp_path / "broker.db"), Doorbell(tmp_path / "broker.db")
    listener.listen()

    def full(*_: object) -> object:
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as few:
        few.setattr(socket, "socket", full)
        assert ringer.ring(["lost"])
    assert ringer.ring(["work"])
    assert listener.hear(0.0) == ["work"]
    for bell in (listener, ringer):
        bell.close()
