"""The Terraform file: parsed by python-hcl2, laid out and parsed by terraform if it is there."""

import json
import re
import shutil
import subprocess
from typing import Any

import hcl2
import pytest

from taskflow import Registry
from taskflow.export import Place, export
from taskflow.export.hcl import Expression, Json, block, quote
from tests.taskflow.aws.states.places import table_of_the_page
from tests.taskflow.export.conftest import FULL, QUEUES, TOPICS

Resources = dict[tuple[str, str], dict[str, Any]]


def plain(value: Any) -> Any:
    """What the parser found, without the quotes and marks it keeps."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {plain(key): plain(one) for key, one in value.items() if key != "__is_block__"}
    if isinstance(value, str) and value[:1] == value[-1:] == '"':
        return json.loads(value.replace("$${", "${").replace("%%{", "%{"))
    return value


def parse(text: str) -> dict[str, Any]:
    parsed: dict[str, Any] = plain(hcl2.loads(text))
    return parsed


@pytest.fixture
def document(registry: Registry) -> dict[str, Any]:
    return parse(export(registry, "terraform", Place(prefix="staging-")))


@pytest.fixture
def resources(document: dict[str, Any]) -> Resources:
    found = {}
    for one in document["resource"]:
        for kind, named in one.items():
            for name, attributes in named.items():
                assert (kind, name) not in found
                found[kind, name] = attributes
    return found


def of_kind(resources: Resources, kind: str) -> dict[str, dict[str, Any]]:
    return {name: one for (found, name), one in resources.items() if found == kind}


@pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not installed")
@pytest.mark.parametrize("place", [Place(), FULL])
def test_terraform_reads_it_and_would_lay_it_out_the_same(registry: Registry, place: Place) -> None:
    text = export(registry, "terraform", place)
    done = subprocess.run(
        ["terraform", "fmt", "-no-color", "-"], input=text, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == text


@pytest.mark.slow
def test_topics_and_queues_have_their_names_and_kinds(resources: Resources) -> None:
    topics = of_kind(resources, "aws_sns_topic").values()
    assert {one["name"]: one.get("fifo_topic") for one in topics} == {
        f"staging-{name}": True if name.endswith(".fifo") else None for name in TOPICS.values()
    }
    queues = of_kind(resources, "aws_sqs_queue").values()
    assert {one["name"]: one.get("fifo_queue") for one in queues} == {
        f"staging-{name}": True if name.endswith(".fifo") else None
        for name in [*QUEUES, *QUEUES.values()]
    }


def test_a_queue_has_its_attributes_and_its_dlq(resources: Resources) -> None:
    queues = {one["name"]: one for one in of_kind(resources, "aws_sqs_queue").values()}
    audit, slow = queues["staging-audit"], queues["staging-audit_dlq"]
    assert audit["visibility_timeout_seconds"] == 30
    assert slow["visibility_timeout_seconds"] == 91
    assert "maxReceiveCount = 16" in audit["redrive_policy"], "6 attempts and 10 of headroom"
    letters = {name: one["name"] for (_, name), one in resources.items() if "name" in one}
    target = audit["redrive_policy"].split("aws_sqs_queue.")[1].split(".arn")[0]
    assert letters[target] == "staging-audit-dlq"
    for name in QUEUES.values():
        assert queues[f"staging-{name}"]["message_retention_seconds"] == 14 * 86400


def test_subscriptions_are_raw_filtered_and_wait_for_the_queue_policy(
    resources: Resources,
) -> None:
    found = of_kind(resources, "aws_sns_topic_subscription")
    assert set(found) == {
        "order_created_to_audit",
        "order_created_to_audit_2",
        "order_created_to_audit_dlq",
        "_1st_file_to_files",
        "ledger_posted_fifo_to_ledger_fifo",
    }
    assert all(one["raw_message_delivery"] is True for one in found.values())
    one = found["order_created_to_audit"]
    assert one["topic_arn"] == "${aws_sns_topic.order_created.arn}"
    assert one["endpoint"] == "${aws_sqs_queue.audit.arn}"
    assert one["filter_policy_scope"] == "MessageAttributes"
    assert "$${b}" in one["filter_policy"]
    assert found["ledger_posted_fifo_to_ledger_fifo"]["filter_policy_scope"] == "MessageBody"
    assert "filter_policy" not in found["_1st_file_to_files"]
    for one in found.values():
        (policy,) = one["depends_on"]
        assert policy.strip("${}").split(".")[1] in of_kind(resources, "aws_sqs_queue_policy")


def test_a_queue_lets_just_its_topics_send(resources: Resources) -> None:
    policy = of_kind(resources, "aws_sqs_queue_policy")["audit_dlq"]["policy"]
    assert policy.count("sqs:SendMessage") == 1
    assert '"aws:SourceArn" = aws_sns_topic.order_created.arn' in policy
    assert "Resource = aws_sqs_queue.audit_dlq.arn" in policy


def test_every_queue_has_an_alarm_for_age_or_depth(resources: Resources) -> None:
    alarms = of_kind(resources, "aws_cloudwatch_metric_alarm")
    queues = of_kind(resources, "aws_sqs_queue")
    assert set(alarms) == set(queues)
    for name, alarm in alarms.items():
        assert alarm["dimensions"] == {"QueueName": f"${{aws_sqs_queue.{name}.name}}"}
        if queues[name]["name"].removesuffix(".fifo").endswith("-dlq"):
            assert alarm["metric_name"] == "ApproximateNumberOfMessagesVisible"
            assert alarm["threshold"] == 0
        else:
            assert alarm["metric_name"] == "ApproximateAgeOfOldestMessage"
            assert alarm["threshold"] == "${var.oldest_message_seconds}"


@pytest.mark.parametrize("place", [Place(), FULL])
def test_everything_that_is_named_is_there(registry: Registry, place: Place) -> None:
    text = export(registry, "terraform", place)
    used = set(re.findall(r"\b(aws_[a-z0-9_]+)\.(\w+)", text))
    assert len(used) > 10
    assert used <= set(re.findall(r'^resource "(\w+)" "(\w+)"', text, re.MULTILINE))


def test_only_a_region_makes_a_provider(registry: Registry, document: dict[str, Any]) -> None:
    assert "provider" not in document
    here = parse(export(registry, "terraform", Place("eu-central-1", "123456789012")))
    assert here["provider"] == [
        {"aws": {"region": "eu-central-1", "allowed_account_ids": ["123456789012"]}}
    ]


@pytest.mark.parametrize("text", ['a"b', "a\\b", "${x}", "%{x}", "line\nnext", "\b\f", "é🦊"])
def test_any_text_can_be_quoted(text: str) -> None:
    assert parse(block("locals", {"text": text}))["locals"] == [{"text": text}]
    assert quote(text).isprintable()


def test_what_has_no_place_in_the_language_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="bytes has no place"):
        block("locals", {"text": b""})


def test_neighbours_are_aligned_and_long_values_stand_apart() -> None:
    attributes = {"a": 1, "bcd": Expression("x.y"), "z": Json({"list": [], "no": {}}), "e f": None}
    assert block("locals", attributes | {"last": [1.5]}) == (
        "locals {\n  a   = 1\n  bcd = x.y\n  z = jsonencode({\n    list = []\n    no   = {}\n  })\n"
        "  last = [\n    1.5,\n  ]\n}\n"
    )


def test_table_and_bucket_are_made_when_they_are_named(
    registry: Registry, resources: Resources
) -> None:
    assert not of_kind(resources, "aws_dynamodb_table")
    assert not of_kind(resources, "aws_s3_bucket")
    made: Resources = {}
    for one in parse(export(registry, "terraform", FULL))["resource"]:
        for kind, named in one.items():
            made |= {(kind, name): attributes for name, attributes in named.items()}
    table, state = of_kind(made, "aws_dynamodb_table").values()
    assert (table["name"], table["hash_key"]) == ("finished", "id")
    assert table["attribute"] == [{"name": "id", "type": "S"}]
    assert table["ttl"] == [{"attribute_name": "until", "enabled": True}]
    page = table_of_the_page()
    assert [state["hash_key"], state["range_key"]] == [
        one["AttributeName"] for one in page["KeySchema"]
    ]
    assert [(one["name"], one["type"]) for one in state["attribute"]] == [
        (one["AttributeName"], one["AttributeType"]) for one in page["AttributeDefinitions"]
    ]
    indexes = [
        {
            "IndexName": one["name"],
            "KeySchema": [
                {"AttributeName": one["hash_key"], "KeyType": "HASH"},
                {"AttributeName": one["range_key"], "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": one["projection_type"]}
            | ({"NonKeyAttributes": one[more]} if (more := "non_key_attributes") in one else {}),
        }
        for one in state["global_secondary_index"]
    ]
    assert indexes == page["GlobalSecondaryIndexes"]
    assert state["ttl"] == [{"attribute_name": "until", "enabled": True}]
    (bucket,) = of_kind(made, "aws_s3_bucket").values()
    assert bucket == {"bucket": "large-payloads"}
    (life,) = of_kind(made, "aws_s3_bucket_lifecycle_configuration").values()
    assert life["rule"][0]["expiration"] == [{"days": 60}]
    assert life["rule"][0]["status"] == "Enabled"
