"""A server hears other processes only while somebody waits, and loses nothing by that."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from taskflow.brokers.stored.broker import StoredBroker
from taskflow.message import Message
from taskflow.server.backend import Backend
from taskflow.server.sqs import sqs_actions
from taskflow.server.sqs_moves import MoveActions
from taskflow.server.waiting import Waiting
from taskflow.stores.sqlite.store import SqliteStore
from taskflow.testing import ManualClock
from tests.taskflow.server.wire import CALLER, HOST, JSON, ask, make_app, make_scope

URL = "http://localhost:9324/000000000000/work"


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[tuple[StoredBroker, StoredBroker]]:
    """Of two processes; their time stands still: nobody who waits looks again by himself."""
    clock = ManualClock()
    made = [
        StoredBroker(SqliteStore(tmp_path / "broker.db", durable=False), clock=clock)
        for _ in range(2)
    ]
    made[0].create_queue("work")
    with closing(made[0]), closing(made[1]):
        yield made[0], made[1]


def poll(broker: StoredBroker, began: Any) -> Any:
    """A long poll of a server that has looked away; `began` is called when it listens again."""

    async def run() -> Any:
        with ThreadPoolExecutor(2) as threads:
            waiting = Waiting(broker)
            waiting.start()
            waiting.rest()
            backend = Backend(broker, waiting, threads, CALLER.account, "us-east-1")
            app = make_app(sqs_actions(backend, MoveActions(backend)), clock=broker.clock)
            attend = waiting.attend
            waiting.attend = lambda: began(attend, waiting)  # type: ignore[method-assign]
            body = json.dumps({"QueueUrl": URL, "WaitTimeSeconds": 20}).encode()
            target = ("x-amz-target", "AmazonSQS.ReceiveMessage")
            try:
                return await ask(app, make_scope("POST", "/", headers=(HOST, JSON, target)), body)
            finally:
                waiting.close()

    answer = asyncio.run(run())
    return [one["Body"] for one in answer.json.get("Messages", [])]


def test_what_is_sent_just_before_it_listens_again_is_found(
    brokers: tuple[StoredBroker, StoredBroker], tmp_path: Path
) -> None:
    here, other = brokers

    def began(attend: Any, waiting: Waiting) -> bool:
        assert not list((tmp_path / "broker.db-bells").iterdir())
        other.send("work", [Message("1", "late")])  # nobody hears this
        assert attend()
        assert list((tmp_path / "broker.db-bells").iterdir())
        return True

    assert poll(here, began) == ["late"]


def test_what_is_sent_while_it_waits_wakes_it(
    brokers: tuple[StoredBroker, StoredBroker],
) -> None:
    here, other = brokers
    times: list[bool] = []

    def began(attend: Any, waiting: Waiting) -> bool:
        times.append(attend())
        if len(times) == 2:  # it has looked, hears, and parks now
            asyncio.get_running_loop().call_soon(waiting.rest)
            asyncio.get_running_loop().call_soon(other.send, "work", [Message("1", "x")])
        return times[-1]

    assert poll(here, began) == ["x"]
    assert times == [True, False]
