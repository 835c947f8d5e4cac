"""Rights: no more than the verbs need, on no more than the names."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from taskflow import Registry
from taskflow.brokers import aws
from taskflow.errors import ConfigError
from taskflow.export import Place, export
from taskflow.export.iam import CLAIM, FETCH, statement_id
from taskflow.export.plan import make_plan
from taskflow.wire.topic_grants import allow_topic
from tests.taskflow.aws.states.places import rights_of_the_page
from tests.taskflow.export.conftest import FULL, QUEUES, TOPICS

HERE = Place("eu-central-1", "123456789012", "staging-")


@pytest.fixture
def policies(registry: Registry) -> Any:
    return json.loads(export(registry, "iam-policy", HERE))


def arns(service: str, names: Any) -> set[str]:
    return {f"arn:aws:{service}:eu-central-1:123456789012:staging-{name}" for name in names}


def statements(policy: Any) -> dict[str, Any]:
    assert policy["Version"] == "2012-10-17"
    assert {one["Effect"] for one in policy["Statement"]} == {"Allow"}
    return {one["Sid"]: one for one in policy["Statement"]}


def test_publishers_may_publish_and_nothing_else(policies: Any) -> None:
    (publish,) = statements(policies["publishers"]).values()
    assert publish["Action"] == ["sns:Publish"]
    assert set(publish["Resource"]) == arns("sns", TOPICS.values())


def test_workers_may_work_on_queues_and_bury_in_their_dlqs(policies: Any) -> None:
    found = statements(policies["workers"])
    assert set(found) == {"Work", "BuryDeadLetters", "FindSubscriptions"}
    assert set(found["Work"]["Resource"]) == arns("sqs", QUEUES)
    assert set(found["Work"]["Action"]) == {
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "sqs:SendMessage",
    }
    letters = found["BuryDeadLetters"]
    assert set(letters["Resource"]) == arns("sqs", QUEUES.values())
    assert "sqs:SendMessage" in letters["Action"]
    assert "sqs:ReceiveMessage" not in letters["Action"]


def test_only_who_filters_may_read_filters(policies: Any) -> None:
    find = statements(policies["workers"])["FindSubscriptions"]
    assert "sns:GetSubscriptionAttributes" in find["Action"]
    plain = Registry()
    plain.subscribe("made", queue="work")(print_it)
    found = statements(json.loads(export(plain, "iam-policy"))["workers"])["FindSubscriptions"]
    assert found["Action"] == ["sns:GetTopicAttributes", "sns:Subscribe"]
    assert found["Resource"] == ["arn:aws:sns:*:*:made"]


def print_it(event: object) -> None: ...


def test_table_and_bucket_are_for_who_needs_them(registry: Registry) -> None:
    policies = json.loads(export(registry, "iam-policy", FULL))
    publish, work = statements(policies["publishers"]), statements(policies["workers"])
    assert set(publish) == {
        "Publish",
        "CountReaders",
        "StorePayloads",
        "KeepRecords",
        "ListRecords",
    }
    for found in (publish, work):
        table = "arn:aws:dynamodb:eu-central-1:123456789012:table/kept"
        assert found["KeepRecords"]["Resource"] == [table]
        assert found["ListRecords"]["Resource"] == [f"{table}/index/*"]
        used = {*found["KeepRecords"]["Action"], *found["ListRecords"]["Action"]}
        assert used == rights_of_the_page()
    assert publish["StorePayloads"]["Action"] == ["s3:PutObject"]
    assert publish["StorePayloads"]["Resource"] == ["arn:aws:s3:::large-payloads/*"]
    assert set(publish["CountReaders"]["Resource"]) == arns("sns", TOPICS.values())
    assert work["ClaimEvents"]["Resource"] == [
        "arn:aws:dynamodb:eu-central-1:123456789012:table/finished"
    ]
    assert work["FetchPayloads"]["Resource"] == ["arn:aws:s3:::large-payloads/*"]
    assert work["FindPayloads"]["Resource"] == ["arn:aws:s3:::large-payloads"]


@pytest.mark.parametrize("keys", ["team-a", "team-a/"])
def test_rights_to_payloads_end_where_their_keys_do(registry: Registry, keys: str) -> None:
    place = Place(bucket="large-payloads", keys=keys)
    policies = json.loads(export(registry, "iam-policy", place))
    publish, work = statements(policies["publishers"]), statements(policies["workers"])
    below = ["arn:aws:s3:::large-payloads/team-a/*"]
    assert publish["StorePayloads"]["Resource"] == work["FetchPayloads"]["Resource"] == below
    assert work["FindPayloads"]["Resource"] == ["arn:aws:s3:::large-payloads"]


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ({"table": "a"}, "table is 'a'; 3 to 255 letters"),
        ({"table": "a/b/c"}, "table is 'a/b/c'"),
        ({"state_table": "a"}, "state table is 'a'; 3 to 255 letters"),
        ({"table": "one", "state_table": "one"}, "'one' cannot be both"),
        ({"bucket": "big", "keys": "a b"}, "keys are below 'a b'"),
        ({"bucket": "big", "keys": "/a"}, "keys are below '/a'"),
        ({"bucket": "big", "keys": "a//"}, "keys are below 'a//'"),
        ({"bucket": "big", "keys": "t*m"}, "keys are below 't"),
        ({"bucket": "big", "keys": "a" * 200}, "keys are below 'aaa"),
        ({"bucket": "Big"}, "bucket is 'Big'; 3 to 63 small letters"),
    ],
)
def test_names_that_aws_forbids_are_refused(names: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Place(**names)


def test_every_right_a_worker_uses_is_in_its_policy() -> None:
    """The methods that the code calls on DynamoDB and S3 are those it is given rights for."""
    parts: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
        (("dynamo_records", "dynamo_store"), CLAIM),
        (("payloads",), (*FETCH, "s3:ListBucket")),
    )
    for files, rights in parts:
        text = "".join((Path(aws.__path__[0]) / f"{file}.py").read_text() for file in files)
        called = set(re.findall(r'"((?:put|get|update|delete|batch|list)_[a-z0-9_]+)"', text))
        named = {"".join(part.capitalize() for part in one.split("_")) for one in called}
        named = {"ListBucket" if one == "ListObjectsV2" else one for one in named}
        assert named | {"GetObject"} >= {right.partition(":")[2] for right in rights}
        assert {right.partition(":")[2] for right in rights} >= named


def test_a_worker_knows_the_statements_of_a_queue_policy(registry: Registry) -> None:
    plan = make_plan(registry, HERE)
    for topic in plan.topics:
        policy = json.dumps({"Statement": [{"Sid": statement_id(plan, topic)}]})
        assert allow_topic(policy, "queue", HERE.arn("sns", topic.name)) is None
