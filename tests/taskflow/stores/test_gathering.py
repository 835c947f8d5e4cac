"""Several verbs in one transaction: each fails alone, all are told together."""

import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest

from taskflow.broker import Finish, QueueSettings
from taskflow.broker.prompt import Gathered, WouldWait
from taskflow.brokers import open_address
from taskflow.errors import LimitExceeded, QueueNotFound
from taskflow.message import Message
from taskflow.stores.sqlite import disk_sync


@pytest.fixture(params=["", "&shards=2"])
def broker(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    broker = open_address(f"sqlite:///{tmp_path}/broker.db?durability=process{request.param}")
    broker.create_queue("work")
    broker.create_queue("small")
    broker.set_queue("small", QueueSettings(max_message_bytes=1024))
    assert isinstance(broker, Gathered)
    with closing(broker):
        broker.receive("work")  # its home is found
        yield broker


def send(broker: Any, id: str, queue: str = "work", body: str = "x") -> Any:
    return partial(broker.send, queue, [Message(id, body)])


def count(broker: Any) -> int:
    return int(broker.counts("work").visible + broker.counts("work").in_flight)


def test_each_answers_for_itself(broker: Any) -> None:
    outcomes, wait = broker.gathered(
        [
            send(broker, "a"),
            send(broker, "b", "small", "x" * 2000),
            send(broker, "c", "gone"),
            partial(broker.receive, "work", limit=10),
            send(broker, "d"),
        ]
    )
    assert wait is None
    (sent, _), (_, large), (_, missing), (lent, _), (last, _) = outcomes
    assert ([one.id for one in sent], [one.id for one in last]) == (["a"], ["d"])
    assert isinstance(large, LimitExceeded)
    assert isinstance(missing, QueueNotFound)
    assert [one.id for one in lent] == ["a"]
    assert broker.gathered([partial(broker.delete, [Finish(lent[0])])])[0] == [([True], None)]
    assert count(broker) == 1
    assert broker.counts("small").visible == 0


@pytest.mark.parametrize("broker", [""], indirect=True)
def test_it_is_heard_once_and_when_others_can_see_it(broker: Any, tmp_path: Path) -> None:
    heard: list[tuple[list[str], int]] = []
    seen = apsw.Connection(f"{tmp_path}/broker.db")
    other = open_address(f"sqlite:///{tmp_path}/broker.db")
    with closing(other), closing(seen):
        broker.watch(lambda queues: heard.append((sorted(queues), other.counts("work").visible)))
        broker.gathered([send(broker, "a"), send(broker, "b"), send(broker, "c", "small")])
    assert heard == [(["small", "work"], 2)]


def test_what_changes_nothing_locks_nothing(broker: Any, tmp_path: Path) -> None:
    with closing(apsw.Connection(f"{tmp_path}/broker.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        outcomes, _ = broker.gathered([partial(broker.receive, "work")] * 2)
        assert outcomes == [([], None)] * 2


@pytest.mark.parametrize("broker", [""], indirect=True)
def test_a_lock_that_is_not_to_be_had_undoes_all(broker: Any, tmp_path: Path) -> None:
    with closing(apsw.Connection(f"{tmp_path}/broker.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        for patience in (None, 0.01):
            with pytest.raises(WouldWait):
                broker.gathered([send(broker, "a")], patience)
        other.execute("ROLLBACK")
    broker.gathered([send(broker, "b")])  # and the thread waits again where it may
    assert count(broker) == 1


@pytest.mark.parametrize("broker", [""], indirect=True)
def test_what_sqlite_has_undone_by_itself_is_said_of_all(broker: Any) -> None:
    def fail() -> None:  # as when the disk is full
        broker.store._database.connection.execute("ROLLBACK")
        raise LimitExceeded("full")

    with pytest.raises(LimitExceeded):
        broker.gathered([send(broker, "a"), fail, send(broker, "b")])
    assert count(broker) == 0
    broker.gathered([send(broker, "a")])
    assert count(broker) == 1


def test_all_wait_for_the_disk_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(disk_sync, "_to_disk", synced.append)
    broker: Any = open_address(f"sqlite:///{tmp_path}/broker.db?durability=power")
    broker.create_queue("work")
    with closing(broker):
        synced.clear()
        _, wait = broker.gathered([send(broker, str(number)) for number in range(5)])
        assert synced == []
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(10)
        assert len(synced) == 1
        assert broker.gathered([partial(broker.receive, "work")])[1] is None
