"""A backend over a broker in memory, served on a loop of its own, and boto3 clients of it."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from taskflow.broker import Broker
from taskflow.server.backend import Backend
from taskflow.server.fast_way import make_fast_way
from taskflow.server.sns import Sns
from taskflow.server.sqs import sqs_actions
from taskflow.server.sqs_moves import MoveActions
from taskflow.server.sts import Sts
from taskflow.server.waiting import Waiting
from taskflow.server.wire_call import Action
from tests.taskflow.server.test_boto3 import make_client, sender
from tests.taskflow.server.wire import CALLER, Answer, FastFirst, OnServer, Run, make_app, post_form


@pytest.fixture
def run() -> Iterator[Run[Any]]:
    """Run a coroutine on the server's loop, which lives as long as the test, and wait for it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="server-loop")
    thread.start()
    yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def backend(taskflow_broker: Broker, run: Run[Any]) -> Iterator[Backend]:
    """The broker of the test (memory, `taskflow_clock`) as account 000000000000 in us-east-1."""

    async def open_backend() -> Backend:
        waiting = Waiting(taskflow_broker)
        waiting.start()
        return Backend(taskflow_broker, waiting, threads, CALLER.account, "us-east-1")

    async def close_backend() -> None:
        opened.waiting.close()

    with ThreadPoolExecutor(4) as threads:
        opened = run(open_backend())
        yield opened
        run(close_backend())


@pytest.fixture
def moves(backend: Backend) -> MoveActions:
    """The move tasks of SQS; they move when a test lets `run` run, or steps the broker."""
    return MoveActions(backend)


@pytest.fixture
def actions(backend: Backend, moves: MoveActions) -> dict[tuple[str, str], Action]:
    """Every action there is."""
    return {**sqs_actions(backend, moves), **Sns(backend).actions(), **Sts().actions()}


BOTH_WAYS = ("sqs_send", "sqs_receive", "sqs_fifo", "sqs_visibility", "sqs_batches")
"""The modules whose tests ask the fast way first, and not at all. The others do the latter."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "way" in metafunc.fixturenames:
        both = metafunc.module.__name__.rpartition("test_")[2] in BOTH_WAYS
        metafunc.parametrize("way", ["long", "fast"] if both else ["long"])


@pytest.fixture
def app(way: str, backend: Backend, actions: dict[tuple[str, str], Action], run: Run[Any]) -> Any:
    """An app with these actions, as something that may be called from any loop."""
    made = make_app(actions, clock=backend.broker.clock)
    if way == "long":
        return OnServer(made, run)
    fast = make_fast_way(made, backend, lambda: True)
    assert fast is not None
    return OnServer(FastFirst(made, fast), run)


@pytest.fixture(scope="session")
def idle_clients() -> defaultdict[str, list[Any]]:
    """By service, boto3 clients that no test has now: to make one takes longer than most tests."""
    return defaultdict(list)


@pytest.fixture
def clients(app: Any, idle_clients: defaultdict[str, list[Any]]) -> Iterator[Callable[[str], Any]]:
    """By service, a boto3 client of the app in this process, without a socket."""
    lent: list[tuple[str, Any]] = []
    send = sender(app)

    def lend(service: str) -> Any:
        idle = idle_clients[service]
        client = idle.pop() if idle else make_client(service)
        client.meta.events.register("before-send", send)
        lent.append((service, client))
        return client

    yield lend
    for service, client in lent:
        client.meta.events.unregister("before-send", send)
        idle_clients[service].append(client)


@pytest.fixture
def sns(clients: Callable[[str], Any]) -> Any:
    """A boto3 client of SNS."""
    return clients("sns")


@pytest.fixture
def sqs(clients: Callable[[str], Any]) -> Any:
    """A boto3 client of SQS."""
    return clients("sqs")


@pytest.fixture
def make_queue(sqs: Any) -> Callable[..., str]:
    """Create a queue with these attributes, FIFO by its name; answers its URL."""

    def make(name: str = "work", **attributes: object) -> str:
        texts = {key: str(value) for key, value in attributes.items()}
        if name.endswith(".fifo"):
            texts["FifoQueue"] = "true"
        return str(sqs.create_queue(QueueName=name, Attributes=texts)["QueueUrl"])

    return make


@pytest.fixture
def refused() -> Callable[..., tuple[str, str, str]]:
    """Call a method of a boto3 client that must fail; answers (code, shape, message)."""

    def call(method: Callable[..., Any], **params: Any) -> tuple[str, str, str]:
        with pytest.raises(ClientError) as caught:
            method(**params)
        error = caught.value.response["Error"]
        return error["Code"], error.get("QueryErrorCode", ""), error["Message"]

    return call


@pytest.fixture
def query(app: Any) -> Callable[..., Answer]:
    """Call SQS in the query protocol; fields whose names have dots come in a mapping."""

    def call(action: str, fields: Mapping[str, Any] | None = None, **more: Any) -> Answer:
        version = {"Action": action, "Version": "2012-11-05"}
        return post_form(app, {**version, **(fields or {}), **more})

    return call
