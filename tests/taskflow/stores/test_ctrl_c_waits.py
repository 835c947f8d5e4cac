"""Ctrl-C, and a handler of signals, where a thread waits: Ctrl-C comes out as itself, and what
others need is let go."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest

from taskflow import open_broker
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.brokers.stored.waiters import Waiters
from taskflow.clock import SystemClock
from taskflow.condition import Condition
from taskflow.stores.sqlite import disk_sync
from taskflow.stores.sqlite.checkpointer import CHECKPOINT_PAGES, Checkpointer
from taskflow.stores.sqlite.disk_sync import DiskSync
from taskflow.stores.sqlite.patience import Patience
from tests.taskflow.stores.test_ctrl_c import at_place, struck
from tests.taskflow.test_condition import held_by_others

MANY = 200


def everywhere(work: Callable[[], object], *where: str) -> Iterator[int]:
    """The places at which it was struck, one after the other; fails for any other error."""
    for number in range(MANY):
        if not struck(number, work, where):
            break
        yield number
    assert 2 < number < MANY - 1


@pytest.mark.parametrize("hurried", [False, True])
def test_in_a_wait_for_the_lock_of_a_file(hurried: bool) -> None:
    patience = Patience()
    if hurried:
        patience.hurry()
    for _ in everywhere(lambda: patience(0), "taskflow.stores.sqlite.patience", "threading"):
        assert patience(0)
        patience.hurry()
        assert patience(0)


def test_who_is_about_to_leave_hurries_its_own_wait() -> None:
    number = 0
    while number < MANY:
        patience = Patience()
        where = ("taskflow.stores.sqlite.patience", "threading")
        if not at_place(number, partial(patience, 0), patience.hurry, where):
            break
        assert not patience(1001)
        number += 1
    assert 2 < number < MANY - 1


class Telling(deque[Any]):
    """Says that somebody is parked."""

    def __init__(self) -> None:
        super().__init__()
        self.told = threading.Event()

    def append(self, one: Any) -> None:
        super().append(one)
        self.told.set()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[DiskSync]:
    path = tmp_path / "broker.db"
    (tmp_path / "broker.db-wal").touch()
    made = DiskSync(path)
    yield made
    made.close()


def test_in_a_wait_for_another_threads_turn_at_the_disk(
    disk: DiskSync, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = threading.get_ident()

    def wait_beside_another() -> None:
        has, parked = threading.Event(), Telling()
        monkeypatch.setattr(disk, "_parked", parked)

        def to_disk(file: int) -> None:
            if threading.get_ident() != main:
                has.set()
                assert parked.told.wait(30)
            os.fdatasync(file)

        monkeypatch.setattr(disk_sync, "_to_disk", to_disk)
        disk.committed()
        other = threading.Thread(target=disk.wait)
        other.start()
        assert has.wait(30)
        try:
            disk.wait()
        finally:
            parked.told.set()
            other.join(30)
            assert not other.is_alive()

    for _ in everywhere(wait_beside_another, "taskflow.stores.sqlite.disk_sync"):
        assert not held_by_others(disk._lock)  # type: ignore[arg-type]
        disk.committed()
        disk.wait()


def test_where_a_checkpoint_is_asked_for(tmp_path: Path) -> None:
    path = str(tmp_path / "broker.db")
    connection = apsw.Connection(path)
    connection.pragma("journal_mode", "wal")
    for number in range(MANY):
        checkpointer = Checkpointer(lambda: apsw.Connection(path))
        was_struck = struck(
            number,
            partial(checkpointer.wal_has, connection, "main", CHECKPOINT_PAGES),
            "taskflow.stores.sqlite.checkpointer",
        )
        assert not checkpointer._lock._is_owned()  # type: ignore[attr-defined]
        checkpointer.wal_has(connection, "main", 2 * CHECKPOINT_PAGES)
        thread = checkpointer._thread
        assert thread is not None
        checkpointer.close()
        assert not thread.is_alive()
        if not was_struck:
            break
    assert 2 < number < MANY - 1


CONDITIONS = ("taskflow.condition", "taskflow.brokers.stored.ring_condition")


def test_in_a_condition() -> None:
    condition = Condition()

    def wait() -> None:
        with condition._lock:  # type: ignore[attr-defined]
            SystemClock().wait(condition, 0.0)

    for number in everywhere(wait, *CONDITIONS):
        assert not held_by_others(condition._lock), f"at place {number}"  # type: ignore[attr-defined]


@pytest.mark.parametrize("listens", [False, True])
def test_in_a_long_poll(listens: bool, tmp_path: Path) -> None:
    broker = open_broker(f"sqlite:///{tmp_path}/broker.db")
    assert isinstance(broker, StoredBroker)
    waiters = broker.core.waiters
    assert isinstance(waiters, Waiters)
    if listens:
        waiters.listen()
    lock = waiters._lock

    def park() -> None:
        rung = waiters.rung(["work"])
        waiters.park(["work"], rung, broker.clock.now(), None)

    for number in everywhere(park, *CONDITIONS):
        assert not held_by_others(lock), f"at place {number}"  # type: ignore[arg-type]
        assert not waiters._parked._in_store
    broker.close()
