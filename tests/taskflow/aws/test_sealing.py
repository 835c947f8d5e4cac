"""On AWS too what is sealed stays so: in SQS, as a dead letter, and in Lambda."""

from typing import Any

import pytest

from taskflow import Registry, Worker, publish, task
from taskflow.aws.handler import lambda_handler
from taskflow.brokers.aws.broker import AwsBroker
from taskflow.message import FAILURE
from taskflow.publisher import using
from taskflow.registry import default_registry
from taskflow.testing import drain
from tests.contract.wire import SharedClock
from tests.taskflow.sealing.test_sealing import SECRET, seal, unseal
from tests.taskflow.test_lambda import Given, record


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    registry = Registry(codec=(seal, unseal))
    monkeypatch.setattr(default_registry, "codec", registry.codec)
    return registry


def test_bodies_and_dead_letters(broker: AwsBroker, registry: Registry) -> None:
    heard: list[Any] = []

    @registry.subscribe("made", queue="work", retries=0)
    def made(payload: Any) -> None:
        heard.append(payload)
        raise ValueError(SECRET)

    @task(registry=registry, queue="tasks", name="pay", retries=0)
    def pay(card: str) -> str:
        raise ValueError(card)

    Worker(broker, registry=registry)
    with using(broker):
        publish("made", {"card": SECRET})
        pay.delay(SECRET)
    drain(broker, registry, raise_errors=False)
    assert heard == [{"card": SECRET}]
    for queue in ("work-dlq", "tasks-dlq"):
        (letter,) = broker.receive(queue)
        assert "taskflow.sealed:" in letter.body
        assert SECRET not in str(letter)
        assert "failed 1 times" in str(letter.attributes[FAILURE])


def test_lambda_opens_what_it_is_given(
    broker: AwsBroker, clock: SharedClock, registry: Registry
) -> None:
    heard: list[Any] = []
    registry.subscribe("made", queue="work")(lambda payload: heard.append(payload))
    Worker(broker, registry=registry)
    with using(broker):
        publish("made", {"card": SECRET})
    (found,) = broker.receive("work")
    assert SECRET not in found.body
    handler = lambda_handler("work", registry=registry)
    assert handler({"Records": [record(found.body)]}, Given()) == {"batchItemFailures": []}
    assert heard == [{"card": SECRET}]
