"""What only Linux has, taken away: each has another way."""

import fcntl
import os
import resource
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from taskflow import open_broker
from taskflow.message import Message
from taskflow.stores.sqlite import doorbell
from taskflow.testing import ManualClock
from taskflow.worker.health import peak_memory

WAIT = 10.0


def test_a_long_path_without_proc_is_polled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(doorbell, "_OPEN_FILES", str(tmp_path / "no-proc"))
    folder = tmp_path / ("d" * 60) / ("e" * 60)
    folder.mkdir(parents=True)
    address, clock = f"sqlite:///{folder}/broker.db?durability=process", ManualClock()
    sender, receiver = open_broker(address, clock=clock), open_broker(address, clock=clock)
    sender.create_queue("work")
    with ThreadPoolExecutor() as pool:
        polling = pool.submit(receiver.receive, "work", wait=20.0)
        clock.wait_until_parked()
        sender.send("work", [Message("1", "x")])
        clock.advance(1.0)
        assert [found.id for found in polling.result(WAIT)] == ["1"]
    assert "noticed by polling" in caplog.text
    for broker in (sender, receiver):
        broker.close()


@pytest.mark.parametrize("has", ["F_FULLFSYNC", "fdatasync", "fsync"])
def test_a_publish_is_on_disk_by_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has: str
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda file: asked.append("fsync"))
    monkeypatch.setattr(os, "fdatasync", lambda file: asked.append("fdatasync"), raising=False)
    if has == "fsync":
        monkeypatch.delattr(os, "fdatasync")
    if has == "F_FULLFSYNC":  # macOS, whose fsync stops at the drive's cache
        monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
        lock = fcntl.fcntl

        def control(file: int, command: int, *more: int) -> object:
            if command == 51:
                asked.append("F_FULLFSYNC")
                return 0
            return lock(file, command, *more)

        monkeypatch.setattr(fcntl, "fcntl", control)
    elif hasattr(fcntl, "F_FULLFSYNC"):
        monkeypatch.delattr(fcntl, "F_FULLFSYNC")
    broker = open_broker(f"sqlite:///{tmp_path}/broker.db?durability=power")
    broker.create_queue("work")
    asked.clear()
    broker.send("work", [Message("1", "x")])
    assert set(asked) == {has}
    broker.close()


def test_memory_is_in_bytes_on_macos_too(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = SimpleNamespace(ru_maxrss=3 * 2**20)
    monkeypatch.setattr(resource, "getrusage", lambda whose: usage)
    monkeypatch.setattr(sys, "platform", "linux")
    assert peak_memory() == 3 * 2**30
    monkeypatch.setattr(sys, "platform", "darwin")
    assert peak_memory() == 3 * 2**20
