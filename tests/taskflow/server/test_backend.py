"""What the backend calls on the loop, what in a thread: a send is answered when on disk."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from taskflow.broker.settings import QueueSettings
from taskflow.brokers import open_address
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.errors import BrokerFileError
from taskflow.message import Message
from taskflow.server.backend import LONG, Backend
from taskflow.server.waiting import Waiting

HOME = ("000000000000", "us-east-1")
MESSAGES = [Message("a", "a"), Message("b", "b")]


@pytest.fixture(params=["power", "process"])
def broker(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[StoredBroker]:
    broker = open_address(f"sqlite:///{tmp_path}/broker.db?durability={request.param}")
    assert isinstance(broker, StoredBroker)
    broker.create_queue("work", QueueSettings())
    with closing(broker):
        yield broker


def send(broker: StoredBroker) -> list[str]:
    with ThreadPoolExecutor(1) as threads:
        backend = Backend(broker, Waiting(broker), threads, *HOME)
        return [one.id for one in asyncio.run(backend.send("work", MESSAGES))]


def test_what_is_sent_is_there(broker: StoredBroker) -> None:
    assert send(broker) == ["a", "b"]
    assert broker.counts("work").visible == 2


@pytest.mark.parametrize("broker", ["power"], indirect=True)
def test_a_send_waits_for_the_disk_in_a_thread(
    broker: StoredBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[tuple[int, str]] = []
    sync = broker.store.sync

    def noted() -> None:
        waited.append((broker.counts("work").visible, threading.current_thread().name))
        sync()

    monkeypatch.setattr(broker.store, "sync", noted)
    send(broker)
    ((stored, thread),) = waited
    assert stored == 2
    assert thread != threading.current_thread().name


@pytest.mark.parametrize("broker", ["power"], indirect=True)
def test_a_disk_that_fails_fails_the_send(
    broker: StoredBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise BrokerFileError("broker.db: Input/output error")

    monkeypatch.setattr(broker.store, "sync", fail)
    with pytest.raises(BrokerFileError):
        send(broker)


@pytest.mark.parametrize("broker", ["process"], indirect=True)
def test_a_send_that_does_not_wait_needs_no_thread(broker: StoredBroker) -> None:
    threads = ThreadPoolExecutor(1)
    threads.shutdown()  # refuses whatever comes
    backend = Backend(broker, Waiting(broker), threads, *HOME)
    assert len(asyncio.run(backend.send("work", MESSAGES))) == 2


def test_the_loop_turns_while_a_send_waits_for_another_process(
    broker: StoredBroker, tmp_path: Path
) -> None:
    async def send_meanwhile() -> int:
        sending = asyncio.ensure_future(backend.send("work", MESSAGES))
        await backend.waiting.catch_up()
        assert not sending.done()
        other.execute("ROLLBACK")
        return len(await sending)

    with (
        closing(apsw.Connection(f"{tmp_path}/broker.db")) as other,
        ThreadPoolExecutor(1) as threads,
    ):
        backend = Backend(broker, Waiting(broker), threads, *HOME)
        other.execute("BEGIN IMMEDIATE")
        assert asyncio.run(send_meanwhile()) == 2


@pytest.mark.parametrize("broker", ["process"], indirect=True)
def test_much_is_stored_in_a_thread(broker: StoredBroker) -> None:
    with ThreadPoolExecutor(1) as threads:
        backend = Backend(broker, Waiting(broker), threads, *HOME)
        asyncio.run(backend.send("work", [Message("a", "x" * (LONG + 1))]))
        assert threads._threads  # it has been asked
