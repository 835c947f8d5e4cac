"""Clients that hang up while they poll: they are lent nothing and take nobody's turn."""

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from taskflow.broker.settings import QueueSettings
from taskflow.message import Message
from taskflow.server.backend import Backend
from tests.taskflow.server.wire import HOST, JSON, make_app, make_scope

Run = Callable[..., Any]
URL = "http://localhost:9324/000000000000/work"
HEADERS = (HOST, JSON, ("x-amz-target", "AmazonSQS.ReceiveMessage"))
LEAVE = {"type": "http.disconnect"}


class Client:
    """One long poll, its requests and what came back; it lives on the server's loop."""

    def __init__(self) -> None:
        body = json.dumps({"QueueUrl": URL, "WaitTimeSeconds": 20}).encode()
        self.says: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.says.put_nowait({"type": "http.request", "body": body})
        self.heard: list[Any] = []
        self.ended: Future[None]

    async def hear(self, message: Any) -> None:
        self.heard.append(message)

    def body(self) -> Any:
        self.ended.result(30)
        return json.loads(self.heard[1]["body"])


@pytest.fixture
def poll(
    backend: Backend, actions: Any, run: Run, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Client]]:
    """Begin a poll of `work`; it is parked when this returns."""
    app = make_app(actions, clock=backend.broker.clock)
    backend.broker.create_queue("work", QueueSettings())

    async def wait_until_parked(count: int) -> None:
        while backend.waiting.count() < count:
            await asyncio.wait_for(arrived.wait(), 30)
            arrived.clear()

    park = backend.waiting.park

    async def noted(*args: Any) -> None:
        asyncio.get_running_loop().call_soon(arrived.set)
        await park(*args)

    monkeypatch.setattr(backend.waiting, "park", noted)
    arrived = asyncio.Event()

    async def close() -> None:
        backend.waiting.close()

    with ThreadPoolExecutor(4) as pool:

        def begin() -> Client:
            client, before = Client(), backend.waiting.count()
            work = app(make_scope("POST", "/", "", HEADERS), client.says.get, client.hear)
            client.ended = pool.submit(run, work)
            run(wait_until_parked(before + 1))
            return client

        yield begin
        run(close())


Poll = Callable[[], Client]


def test_a_client_that_left_is_answered_nothing_and_forgotten(
    backend: Backend, poll: Poll, run: Run
) -> None:
    client = poll()
    run(client.says.put(LEAVE))
    client.ended.result(30)
    assert client.heard == []
    assert backend.waiting.count() == 0
    backend.broker.send("work", [Message("a", "a")])
    assert backend.broker.counts("work").visible == 1


def test_the_next_poll_gets_what_comes_after_the_first_has_left(
    backend: Backend, poll: Poll, run: Run
) -> None:
    first, second = poll(), poll()
    run(first.says.put(LEAVE))
    first.ended.result(30)
    backend.broker.send("work", [Message("a", "a")])
    assert second.body()["Messages"][0]["Body"] == "a"


@pytest.mark.parametrize("leaves_first", [True, False])
def test_leaving_in_the_moment_of_being_woken_passes_the_turn_on(
    backend: Backend, poll: Poll, run: Run, leaves_first: bool
) -> None:
    first, second = poll(), poll()

    async def leave_and_send() -> None:
        """Both before the loop sees to either."""
        if leaves_first:
            first.says.put_nowait(LEAVE)
        backend.broker.send("work", [Message("a", "a")])
        if not leaves_first:
            first.says.put_nowait(LEAVE)

    run(leave_and_send())
    assert second.body()["Messages"][0]["Body"] == "a"
    first.ended.result(30)
    assert first.heard == []


def test_what_was_lent_to_a_client_that_left_is_given_back(
    backend: Backend, poll: Poll, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = poll()
    receive = backend.broker.receive

    def lend(*queues: str, **more: Any) -> Any:
        found = receive(*queues, **more)
        monkeypatch.setattr(backend.broker, "receive", receive)
        client.says.put_nowait(LEAVE)  # while the broker was at it, on the loop
        return found

    monkeypatch.setattr(backend.broker, "receive", lend)
    backend.broker.send("work", [Message("a", "a")])
    client.ended.result(30)
    assert client.heard == []
    (found,) = backend.broker.receive("work")
    assert (found.body, found.receive_count) == ("a", 1)
