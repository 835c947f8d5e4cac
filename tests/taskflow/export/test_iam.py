"""Rights: no more than the verbs need, on no more than the names."""

import json
from typing import Any

import pytest

from taskflow import Registry
from taskflow.brokers.aws.queue_attributes import allow_topic
from taskflow.export import Place, export
from taskflow.export.iam import statement_id
from taskflow.export.plan import make_plan
from tests.taskflow.export.conftest import QUEUES, TOPICS

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


def test_a_worker_knows_the_statements_of_a_queue_policy(registry: Registry) -> None:
    plan = make_plan(registry, HERE)
    for topic in plan.topics:
        policy = json.dumps({"Statement": [{"Sid": statement_id(plan, topic)}]})
        assert allow_topic(policy, "queue", HERE.arn("sns", topic.name)) is None
