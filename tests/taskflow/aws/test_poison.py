"""Messages of others that do not fit: they go to the dead letters or back, and hold up nobody."""

import json
from typing import Any

import pytest

from taskflow import Registry, Reject, Worker, publish
from taskflow.brokers.aws.broker import AwsBroker
from taskflow.errors import QueueNotFound
from taskflow.message import Attribute
from tests.contract.wire import SharedClock
from tests.taskflow.making import cloud_event
from tests.taskflow.worker.hands import Hands, take

DEEP = "[" * 100_000 + "]" * 100_000


def send_raw(broker: AwsBroker, body: str, **attributes: dict[str, Any]) -> None:
    """As another program does."""
    broker.api.client("sqs").send_message(
        QueueUrl=broker._directory.url("work"), MessageBody=body, MessageAttributes=attributes
    )


def text(value: str) -> dict[str, Any]:
    return {"DataType": "String", "StringValue": value}


@pytest.fixture
def failing() -> Registry:
    """Handlers that reject one event, and retry others."""

    def handle(payload: str) -> None:
        raise Reject("never") if payload == "never" else ValueError("again")

    registry = Registry()
    registry.subscribe("order.created", queue="work", retries=5)(handle)
    return registry


def test_a_message_with_ten_attributes_of_its_own_is_a_dead_letter_with_all_of_them(
    broker: AwsBroker, failing: Registry
) -> None:
    worker = Worker(broker, registry=failing)
    many = {f"a{n}": text(str(n)) for n in range(8)}
    binary = {"DataType": "Binary", "BinaryValue": b"\x00\x01"}
    number = {"DataType": "Number.int", "StringValue": "7"}
    event = cloud_event(type="order.created", data="never")
    send_raw(broker, json.dumps(event), **many, z8=binary, z9=number)
    worker.step()
    (letter,) = broker.peek("work-dlq")
    assert len(letter.attributes) == 11, "and the failure record"
    assert letter.attributes["z8"] == Attribute("Binary", b"\x00\x01")
    assert letter.attributes["z9"] == Attribute("Number.int", "7")


def test_what_cannot_be_settled_for_good_does_not_keep_back_the_rest(
    broker: AwsBroker, failing: Registry, clock: SharedClock, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker(broker, registry=failing)
    for payload in ("never", "again"):
        publish("order.created", payload, broker=broker)
    broker.delete_queue("work-dlq")
    hands = Hands(worker)
    hands.take()
    hands.run()
    hands.settler.flush()
    assert "how it ended cannot be recorded" in caplog.text
    clock.advance(31)
    assert [job.delivery.receive_count for job in take(worker, 10)] == [2, 2]


@pytest.mark.parametrize(
    ("body", "attributes"),
    [
        ('{"taskflow":' + DEEP + "}", {}),
        ('["x",' + DEEP + "]", {"ExtendedPayloadSize": {"DataType": "Number", "StringValue": "1"}}),
        ("x", {"taskflow": text(DEEP)}),
        ("x", {"taskflow": text('{"id": 1}')}),
    ],
)
def test_a_body_that_nothing_can_read_is_received_and_hides_no_other(
    broker: AwsBroker, queue: str, body: str, attributes: dict[str, Any]
) -> None:
    send_raw(broker, body, **attributes)
    send_raw(broker, "good")
    found = {one.body for one in broker.receive(queue, limit=10)}
    assert found == {body, "good"}


def test_a_dead_letter_queue_that_is_gone_is_named(broker: AwsBroker, queue: str) -> None:
    publish("order.created", "x", broker=broker)
    (found,) = broker.receive(queue)
    broker.delete_queue("work-dlq")
    with pytest.raises(QueueNotFound, match="work-dlq"):
        broker.dead_letter([(found, "{}")])
