"""The AWS broker over the wire server in this process, and what it asks of it."""

# moto has no types.
# mypy: allow-untyped-calls

import os
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from moto.dynamodb.responses import DynamoHandler
from moto.server import ThreadedMotoServer

from taskflow.broker.settings import QueueSettings
from taskflow.brokers.aws.broker import AwsBroker
from tests.contract.clients import lent_clients
from tests.contract.wire import SharedClock, aws_broker


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keys of nobody, no second tries, and boto3's sessions of other tests; of `make test-aws`, the
    user's own."""
    if os.environ.get("TASKFLOW_TEST_AWS"):
        yield
        return
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "TF1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with lent_clients():
        yield


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """The URL of moto's server. Between the condition of a write to DynamoDB and the write moto
    lets other threads in, which AWS does not: here one request of it follows the other."""
    lock = threading.Lock()
    act = DynamoHandler.call_action

    def act_alone(handler: DynamoHandler) -> Any:
        with lock:
            return act(handler)

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    with mock.patch.object(DynamoHandler, "call_action", act_alone):
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


@pytest.fixture
def clock() -> SharedClock:
    return SharedClock(1000.0)


@pytest.fixture
def broker(clock: SharedClock) -> Iterator[AwsBroker]:
    with aws_broker(clock) as opened:
        yield opened


@pytest.fixture
def requests(broker: AwsBroker) -> Counter[str]:
    """How many requests were made since, by operation."""
    counted: Counter[str] = Counter()
    broker.api.watch_requests(lambda _, operation: counted.update([operation]))
    return counted


@pytest.fixture
def queue(broker: AwsBroker) -> str:
    """A queue `work` with a DLQ after three receives, fed by the topic `order.created`."""
    broker.create_topic("order.created")
    broker.create_queue("work-dlq")
    broker.create_queue("work", QueueSettings(dead_letter_queue="work-dlq", max_receives=3))
    broker.subscribe("order.created", "work")
    return "work"
