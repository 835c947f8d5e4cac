"""docs/semantics.md names tests that exist, for every rule. Then: what it says of us that differs
from AWS and that no other test shows."""

# boto3 has no types.
# mypy: allow-untyped-calls

import json
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from taskflow.broker import Broker
from taskflow.server.sqs_attributes import KNOWN
from taskflow.testing import ManualClock, memory_broker, wire_server
from taskflow.wire.queue_attributes import NUMBERS
from taskflow.wire.shapes import load_services
from tests.test_guarantees import NODE, ROOT, missing

PAGE = (ROOT / "docs/semantics.md").read_text()
ROWS = [
    line
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.endswith("| here | shown by |")
]
ARN = "arn:aws:sqs:us-east-1:000000000000:"


# ---- the page -----------------------------------------------------------------------------------
def test_every_test_that_is_named_exists() -> None:
    assert len(NODE.findall(PAGE)) > 150
    assert missing(PAGE) == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:52])
def test_every_rule_says_what_is_here_and_by_what_test(row: str) -> None:
    rule, here, shown = row.removeprefix("| ").removesuffix(" |").split(" | ")
    assert rule
    assert here
    assert NODE.search(shown)


@pytest.mark.parametrize("service", load_services())
def test_every_operation_is_on_the_page(service: str) -> None:
    facts = load_services()[service]
    operations = {*facts.operations, *facts.excluded}
    assert {name for name in operations if not re.search(rf"\b{name}\b", PAGE)} == set()


def test_every_queue_attribute_is_on_the_page_with_its_bounds() -> None:
    assert {name for name in KNOWN if f"`{name}`" not in PAGE} == set()
    for name, (_, least, most) in NUMBERS.items():
        assert f"| `{name}`: {least} to {most}, default " in PAGE


# ---- what differs -------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="module")
def broker(clock: ManualClock) -> Iterator[Broker]:
    with closing(memory_broker(clock=clock)) as broker:
        yield broker


@pytest.fixture(scope="module")
def url(broker: Broker) -> Iterator[str]:
    with wire_server(broker) as server:
        yield server.url


@pytest.fixture(scope="module")
def sqs(url: str) -> Iterator[Any]:
    with closing(connect(url, "sqs")) as client:
        yield client


@pytest.fixture(scope="module")
def sns(url: str) -> Iterator[Any]:
    with closing(connect(url, "sns")) as client:
        yield client


def connect(url: str, service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )


def make(sqs: Any, name: str, **attributes: str) -> str:
    """Create a queue; answers its URL."""
    if name.endswith(".fifo"):
        attributes["FifoQueue"] = "true"
    return str(sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])


def receive(sqs: Any, url: str) -> list[Any]:
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"])
    return list(found.get("Messages", []))


def redrive(queue: str) -> str:
    return json.dumps({"deadLetterTargetArn": ARN + queue, "maxReceiveCount": 1})


def test_sns_delivers_whatever_the_policy_of_the_queue_says(sqs: Any, sns: Any) -> None:
    statement = {"Effect": "Deny", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
    queue = make(sqs, "denying", Policy=json.dumps({"Statement": [statement]}))
    topic = sns.create_topic(Name="denied")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"{ARN}denying")
    sns.publish(TopicArn=topic, Message="x")
    assert len(receive(sqs, queue)) == 1


@pytest.mark.parametrize("raw", ["true", "false"])
def test_a_message_too_large_for_one_queue_reaches_none(sqs: Any, sns: Any, raw: str) -> None:
    queues = [make(sqs, f"any-{raw}"), make(sqs, f"small-{raw}", MaximumMessageSize="1024")]
    topic = sns.create_topic(Name=f"large-{raw}")["TopicArn"]
    for name in ("any", "small"):
        sns.subscribe(
            TopicArn=topic,
            Protocol="sqs",
            Endpoint=f"{ARN}{name}-{raw}",
            Attributes={"RawMessageDelivery": raw},
        )
    with pytest.raises(ClientError, match=rf"queue 'small-{raw}' takes 1024") as refusal:
        sns.publish(TopicArn=topic, Message="x" * 1025)
    assert refusal.value.response["Error"]["Code"] == "InvalidParameter"
    assert [receive(sqs, queue) for queue in queues] == [[], []]


def test_more_than_ten_attributes_are_refused_at_publish(sns: Any) -> None:
    topic = sns.create_topic(Name="attributes")["TopicArn"]
    text = {"DataType": "String", "StringValue": "x"}
    attributes = {f"a{number}": text for number in range(11)}
    with pytest.raises(ClientError, match="11 message attributes; 10 are allowed"):
        sns.publish(TopicArn=topic, Message="x", MessageAttributes=attributes)
    del attributes["a0"]
    sns.publish(TopicArn=topic, Message="x", MessageAttributes=attributes)


def test_a_fifo_dead_letter_keeps_its_deduplication_id_and_its_age(
    sqs: Any, clock: ManualClock
) -> None:
    dead = make(sqs, "dead.fifo")
    queue = make(sqs, "work.fifo", RedrivePolicy=redrive("dead.fifo"))
    sqs.send_message(
        QueueUrl=queue, MessageBody="x", MessageGroupId="g", MessageDeduplicationId="d"
    )
    (sent,) = receive(sqs, queue)
    clock.advance(30)
    assert receive(sqs, queue) == []
    (letter,) = receive(sqs, dead)
    for name in ("MessageDeduplicationId", "SentTimestamp"):
        assert letter["Attributes"][name] == sent["Attributes"][name]
    assert letter["MessageId"] == sent["MessageId"]


def test_a_moved_message_keeps_its_id(sqs: Any, broker: Broker, clock: ManualClock) -> None:
    make(sqs, "dead")
    queue = make(sqs, "work", RedrivePolicy=redrive("dead"))
    id = sqs.send_message(QueueUrl=queue, MessageBody="x")["MessageId"]
    receive(sqs, queue)
    clock.advance(30)
    assert receive(sqs, queue) == []
    sqs.start_message_move_task(SourceArn=f"{ARN}dead")
    while broker.step_moves():
        pass
    assert [one["MessageId"] for one in receive(sqs, queue)] == [id]


def test_a_delay_that_outlives_the_retention_is_refused(sqs: Any) -> None:
    queue = make(sqs, "brief", MessageRetentionPeriod="60")
    with pytest.raises(ClientError, match="drops messages after 60 seconds"):
        sqs.send_message(QueueUrl=queue, MessageBody="x", DelaySeconds=60)
    sqs.send_message(QueueUrl=queue, MessageBody="x", DelaySeconds=59)
    with pytest.raises(ClientError, match="delay is 61 s; 0 to 60 are allowed"):
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"DelaySeconds": "61"})


def test_a_throttle_policy_is_shown(sns: Any) -> None:
    topic = sns.create_topic(Name="throttled")["TopicArn"]
    policy = {"throttlePolicy": {"maxReceivesPerSecond": 1}}
    made = sns.subscribe(
        TopicArn=topic,
        Protocol="https",
        Endpoint="https://localhost:1/",
        Attributes={"DeliveryPolicy": json.dumps(policy)},
        ReturnSubscriptionArn=True,
    )
    found = sns.get_subscription_attributes(SubscriptionArn=made["SubscriptionArn"])
    shown = json.loads(found["Attributes"]["EffectiveDeliveryPolicy"])
    assert shown["throttlePolicy"] == policy["throttlePolicy"]
    sns.unsubscribe(SubscriptionArn=made["SubscriptionArn"])
