"""What is exported is what the AWS broker expects to find: workers start on it and change nothing.

The template is carried out, call by call, on the wire server in this process.
"""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from taskflow import Registry, publish
from taskflow.brokers.aws.broker import AwsBroker
from taskflow.export import Place, export
from taskflow.topology import compare, declare
from tests.contract.wire import SharedClock, aws_broker


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsBroker]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "TF1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with aws_broker(SharedClock(1000.0)) as opened:
        yield opened


class Stack:
    """Makes the topics, queues and subscriptions of a template."""

    def __init__(self, broker: AwsBroker, resources: dict[str, Any]) -> None:
        self.sns, self.sqs = broker.api.client("sns"), broker.api.client("sqs")
        self.found: dict[tuple[str, str], str] = {}  # by id and attribute
        kinds = {
            "AWS::SNS::Topic": self.topic,
            "AWS::SQS::Queue": self.queue,
            "AWS::SQS::QueuePolicy": self.policy,
            "AWS::SNS::Subscription": self.subscription,
        }
        for kind, make in kinds.items():
            for id, one in resources.items():
                if one["Type"] == kind:
                    make(id, one["Properties"])

    def resolve(self, value: Any) -> Any:
        match value:
            case {"Ref": id}:
                return self.found[id, "Ref"]
            case {"Fn::GetAtt": [id, attribute]}:
                return self.found[id, attribute]
            case dict():
                return {name: self.resolve(one) for name, one in value.items()}
            case list():
                return [self.resolve(one) for one in value]
        return value

    def attributes(self, properties: dict[str, Any], *others: str) -> dict[str, str]:
        return {
            name: json.dumps(one) if isinstance(one, dict | bool) else str(one)
            for name, one in self.resolve(properties).items()
            if name not in others
        }

    def topic(self, id: str, properties: dict[str, Any]) -> None:
        attributes = self.attributes(properties, "TopicName")
        made = self.sns.create_topic(Name=properties["TopicName"], Attributes=attributes)
        self.found[id, "Ref"] = made["TopicArn"]

    def queue(self, id: str, properties: dict[str, Any]) -> None:
        attributes = self.attributes(properties, "QueueName")
        url = self.sqs.create_queue(QueueName=properties["QueueName"], Attributes=attributes)
        self.found[id, "Ref"] = url["QueueUrl"]
        read = self.sqs.get_queue_attributes(QueueUrl=url["QueueUrl"], AttributeNames=["QueueArn"])
        self.found[id, "Arn"] = read["Attributes"]["QueueArn"]

    def policy(self, id: str, properties: dict[str, Any]) -> None:
        policy = json.dumps(self.resolve(properties["PolicyDocument"]))
        for url in self.resolve(properties["Queues"]):
            self.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})

    def subscription(self, id: str, properties: dict[str, Any]) -> None:
        given = self.resolve(properties)
        self.sns.subscribe(
            TopicArn=given["TopicArn"],
            Protocol=given["Protocol"],
            Endpoint=given["Endpoint"],
            Attributes=self.attributes(properties, "TopicArn", "Protocol", "Endpoint"),
        )


@pytest.fixture
def stack(broker: AwsBroker, registry: Registry) -> Stack:
    account = broker.api.client("sts").get_caller_identity()["Account"]
    text = export(registry, "cloudformation", Place("us-east-1", account))
    return Stack(broker, json.loads(text)["Resources"])


def test_nothing_differs_from_code(broker: AwsBroker, registry: Registry, stack: Stack) -> None:
    assert [str(one) for one in compare(broker, registry)] == []


def test_a_worker_that_starts_changes_nothing_and_needs_the_exported_rights(
    broker: AwsBroker, registry: Registry, stack: Stack
) -> None:
    called: Counter[str] = Counter()
    broker.api.watch_requests(lambda service, operation: called.update([f"{service}:{operation}"]))
    declare(broker, registry)
    workers = json.loads(export(registry, "iam-policy"))["workers"]["Statement"]
    allowed = {action for one in workers for action in one["Action"]}
    assert set(called) <= allowed | {"sts:GetCallerIdentity"}
    assert called["sns:Subscribe"] == 3, "those without a filter; it changes nothing"


def test_messages_arrive_as_filters_say(
    broker: AwsBroker, registry: Registry, stack: Stack
) -> None:
    order = {"order_id": "1", "items": []}
    publish("order.created", order, attributes={"shop": "a"}, id="1", broker=broker)
    publish("order.created", order, attributes={"shop": "z"}, id="2", broker=broker)
    assert {one.id for one in broker.receive("audit", limit=10)} == {"1"}
    assert {one.id for one in broker.receive("audit_dlq", limit=10)} == {"1", "2"}


@pytest.mark.parametrize(("keys", "prefix"), [("", None), ("team-a", "team-a/")])
def test_what_else_is_in_a_bucket_is_not_expired(
    registry: Registry, keys: str, prefix: str | None
) -> None:
    place = Place(bucket="shared", keys=keys)
    template = json.loads(export(registry, "cloudformation", place))
    (bucket,) = [
        one["Properties"]
        for one in template["Resources"].values()
        if one["Type"] == "AWS::S3::Bucket"
    ]
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert rule.get("Prefix") == prefix
    written = export(registry, "terraform", place)
    assert ('prefix = "team-a/"' in written) is (prefix is not None)
