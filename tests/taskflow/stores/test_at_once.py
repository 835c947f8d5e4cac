"""Verbs that may not wait: they are done at once, or say that they would wait and do nothing."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from taskflow.broker import Finish, QueueSettings
from taskflow.broker.prompt import WouldWait
from taskflow.brokers import open_address
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.brokers.stored.lending import MOST_GONE
from taskflow.errors import FileReplaced, QueueNotFound
from taskflow.message import Message
from taskflow.stores.sqlite import checkpointer, disk_sync


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "broker.db"


@pytest.fixture(params=["process"])
def broker(path: Path, request: pytest.FixtureRequest) -> Iterator[StoredBroker]:
    broker = open_address(f"sqlite:///{path}?durability={request.param}")
    assert isinstance(broker, StoredBroker)
    broker.create_queue("work")
    with closing(broker):
        yield broker


def do(broker: StoredBroker, verb: Callable[[], Any]) -> tuple[Any, Callable[[], None] | None]:
    ((answer, error),), wait = broker.gathered([verb])
    if error is not None:
        raise error
    return answer, wait


def send(broker: StoredBroker) -> Callable[[], None] | None:
    return do(broker, lambda: broker.send("work", [Message("a", "x")]))[1]


def test_what_need_not_wait_is_done(broker: StoredBroker) -> None:
    assert send(broker) is None
    (lent,), _ = do(broker, lambda: broker.receive("work"))
    assert do(broker, lambda: broker.delete([Finish(lent)])) == ([True], None)


def test_nobody_waits_for_another_process(broker: StoredBroker, path: Path) -> None:
    with closing(apsw.Connection(str(path))) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(WouldWait):
            send(broker)
        assert do(broker, lambda: broker.settings("work"))[
            0
        ].retention  # a look waits for no writer
        other.execute("ROLLBACK")
    assert broker.counts("work").visible == 0
    send(broker)


def test_nobody_waits_for_another_thread(broker: StoredBroker) -> None:
    holds, done = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        holds.set()
        done.wait(10)

    thread = threading.Thread(target=lambda: broker.store.transact(hold))
    thread.start()
    try:
        assert holds.wait(10)
        for verb in (lambda: send(broker), lambda: do(broker, lambda: broker.queues())):
            with pytest.raises(WouldWait):
                verb()
    finally:
        done.set()
        thread.join()
    send(broker)


@pytest.mark.parametrize("broker", ["power"], indirect=True)
def test_what_must_be_on_disk_is_so_when_the_wait_is_over(
    broker: StoredBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = threading.Event()
    to_disk = disk_sync._to_disk

    def noted(file: int) -> None:
        to_disk(file)
        synced.set()

    monkeypatch.setattr(disk_sync, "_to_disk", noted)
    wait = send(broker)
    assert wait is not None
    assert not synced.is_set()
    thread = threading.Thread(target=wait)
    thread.start()
    thread.join(10)
    assert synced.is_set()
    assert broker.counts("work").visible == 1


@pytest.mark.parametrize("broker", ["power"], indirect=True)
def test_the_wait_tells_when_the_file_was_replaced_meanwhile(
    broker: StoredBroker, path: Path
) -> None:
    wait = send(broker)
    assert wait is not None
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink()
    with pytest.raises(FileReplaced):
        broker.store.check()  # another verb finds it, and opens the new one
    raised: list[type[BaseException]] = []

    def finish() -> None:
        try:
            wait()
        except FileReplaced as error:
            raised.append(type(error))

    thread = threading.Thread(target=finish)
    thread.start()
    thread.join(10)
    assert raised == [FileReplaced]


def test_a_commit_that_begins_the_wal_anew_is_not_made_at_once(
    broker: StoredBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpointer, "CHECKPOINT_PAGES", 20)
    copied = threading.Event()
    checkpoint = checkpointer.Checkpointer._checkpoint

    def noted(self: checkpointer.Checkpointer, connection: apsw.Connection, pages: int) -> None:
        checkpoint(self, connection, pages)
        copied.set()

    monkeypatch.setattr(checkpointer.Checkpointer, "_checkpoint", noted)
    broker.send("work", [Message(str(number), "x" * 1000) for number in range(100)])
    assert copied.wait(10)
    with pytest.raises(WouldWait):
        send(broker)
    broker.send("work", [Message("there", "x")])
    send(broker)


def test_a_file_that_was_replaced_is_not_opened_at_once(broker: StoredBroker, path: Path) -> None:
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink()
    with pytest.raises(WouldWait):
        send(broker)
    with pytest.raises(QueueNotFound):  # the new one is empty
        broker.send("work", [Message("a", "x")])


def test_a_receive_behind_many_worn_out_messages_takes_its_time(broker: StoredBroker) -> None:
    broker.create_queue("letters")
    broker.set_queue("work", QueueSettings(max_receives=1, dead_letter_queue="letters"))
    broker.send("work", [Message(str(number), "x") for number in range(MOST_GONE)])
    assert len(broker.receive("work", limit=MOST_GONE, visibility=0)) == MOST_GONE
    broker.send("work", [Message("fresh", "x")])
    with pytest.raises(WouldWait):
        do(broker, lambda: broker.receive("work"))
    assert [one.id for one in broker.receive("work")] == ["fresh"]
