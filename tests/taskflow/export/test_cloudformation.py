"""The CloudFormation template: its structure, and what cfn-lint says of it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from taskflow import Registry
from taskflow.export import Place, export
from tests.taskflow.aws.states.places import table_of_the_page
from tests.taskflow.export.conftest import FILTER, FULL, QUEUES, TOPICS


@pytest.fixture
def template(registry: Registry) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(export(registry, "cloudformation", Place(prefix="staging-")))
    return read


def of_kind(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {
        id: one["Properties"]
        for id, one in template["Resources"].items()
        if one["Type"] == f"AWS::{kind}"
    }


@pytest.mark.slow
@pytest.mark.parametrize("place", [Place(), FULL])
def test_cfn_lint_finds_nothing(registry: Registry, tmp_path: Path, place: Place) -> None:
    file = tmp_path / "template.json"
    file.write_text(export(registry, "cloudformation", place), encoding="utf-8")
    done = subprocess.run(
        [Path(sys.executable).with_name("cfn-lint"), "--regions", "eu-central-1", "--", file],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_topics_and_queues_have_their_names_and_kinds(template: dict[str, Any]) -> None:
    topics = of_kind(template, "SNS::Topic").values()
    assert {one["TopicName"]: one.get("FifoTopic") for one in topics} == {
        f"staging-{name}": True if name.endswith(".fifo") else None for name in TOPICS.values()
    }
    queues = of_kind(template, "SQS::Queue").values()
    assert {one["QueueName"]: one.get("FifoQueue") for one in queues} == {
        f"staging-{name}": True if name.endswith(".fifo") else None
        for name in [*QUEUES, *QUEUES.values()]
    }


def test_a_queue_has_its_attributes_and_its_dlq(template: dict[str, Any]) -> None:
    queues = of_kind(template, "SQS::Queue")
    assert queues["AuditQueue"]["VisibilityTimeout"] == 30
    assert queues["AuditQueue"]["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": ["AuditDeadLetters", "Arn"]},
        "maxReceiveCount": 16,
    }
    assert queues["AuditDeadLetters"]["QueueName"] == "staging-audit-dlq"
    assert queues["AuditDeadLetters"]["MessageRetentionPeriod"] == 14 * 86400


def test_a_subscription_is_raw_filtered_and_waits_for_the_policy(template: dict[str, Any]) -> None:
    assert len(of_kind(template, "SNS::Subscription")) == 5
    one = template["Resources"]["OrderCreatedToAudit"]
    assert one["Properties"] == {
        "TopicArn": {"Ref": "OrderCreatedTopic"},
        "Protocol": "sqs",
        "Endpoint": {"Fn::GetAtt": ["AuditQueue", "Arn"]},
        "RawMessageDelivery": True,
        "FilterPolicy": FILTER,
        "FilterPolicyScope": "MessageAttributes",
    }
    assert one["DependsOn"] in of_kind(template, "SQS::QueuePolicy")


def test_a_queue_lets_just_its_topics_send(template: dict[str, Any]) -> None:
    policies = of_kind(template, "SQS::QueuePolicy").values()
    (policy,) = [one for one in policies if one["Queues"] == [{"Ref": "AuditQueue"}]]
    found = policy["PolicyDocument"]["Statement"]
    assert [one["Condition"]["ArnEquals"]["aws:SourceArn"] for one in found] == [
        {"Ref": "OrderCreatedTopic"},
        {"Ref": "OrderCreatedTopic2"},
    ]
    for one in found:
        assert one["Principal"] == {"Service": "sns.amazonaws.com"}
        assert one["Action"] == "sqs:SendMessage"
        assert one["Resource"] == {"Fn::GetAtt": ["AuditQueue", "Arn"]}


def test_alarms_watch_dead_letters_and_age(template: dict[str, Any]) -> None:
    watched = {
        (one["MetricName"], one["Dimensions"][0]["Value"]["Fn::GetAtt"][0]): one["Threshold"]
        for one in of_kind(template, "CloudWatch::Alarm").values()
    }
    assert len(watched) == 2 * len(QUEUES)
    assert watched["ApproximateNumberOfMessagesVisible", "AuditDeadLetters"] == 0
    assert watched["ApproximateAgeOfOldestMessage", "AuditQueue"] == {"Ref": "OldestMessageSeconds"}


def test_table_and_bucket_are_made_and_kept_when_they_are_named(
    registry: Registry, template: dict[str, Any]
) -> None:
    assert not of_kind(template, "DynamoDB::Table")
    made = json.loads(export(registry, "cloudformation", FULL))
    table, state = of_kind(made, "DynamoDB::Table").values()
    assert (table["TableName"], state["TableName"]) == ("finished", "kept")
    assert table["TimeToLiveSpecification"] == {"AttributeName": "until", "Enabled": True}
    (bucket,) = of_kind(made, "S3::Bucket").values()
    assert bucket["BucketName"] == "large-payloads"
    kept = [one for one in made["Resources"].values() if one.get("DeletionPolicy") == "Retain"]
    assert sorted(one["Type"] for one in kept) == [
        "AWS::DynamoDB::Table",
        "AWS::DynamoDB::Table",
        "AWS::S3::Bucket",
    ]


def test_the_table_of_state_is_the_one_that_the_page_has_made(registry: Registry) -> None:
    made = json.loads(export(registry, "cloudformation", FULL))["Resources"]
    table = dict(made["StateTable"]["Properties"])
    assert table.pop("TimeToLiveSpecification") == {"AttributeName": "until", "Enabled": True}
    assert table == {**table_of_the_page(), "TableName": "kept"}
    for id in ("PublishersPolicy", "WorkersPolicy"):
        found = {one["Sid"]: one for one in made[id]["Properties"]["PolicyDocument"]["Statement"]}
        assert found["KeepRecords"]["Resource"] == [{"Fn::GetAtt": ["StateTable", "Arn"]}]
        assert found["ListRecords"]["Resource"] == [{"Fn::Sub": "${StateTable.Arn}/index/*"}]
