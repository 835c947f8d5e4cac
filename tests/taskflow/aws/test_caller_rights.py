"""What the credentials may not do, as IAM says it."""

# botocore has no types.
# mypy: allow-untyped-calls

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from taskflow import Registry
from taskflow.brokers.aws.caller_rights import CallerRights
from taskflow.brokers.aws.client import Api
from taskflow.brokers.aws.directory import Directory
from taskflow.doctor.wanted_rights import wanted_rights
from taskflow.errors import BrokerUnavailable

META: dict[str, Any] = {"ResponseMetadata": {}}
ROLE = "arn:aws:iam::123456789012:role/worker"
QUEUE, TOPIC = "arn:aws:sqs:eu-west-1:123456789012:work", "arn:aws:sns:eu-west-1:123456789012:made"


@pytest.fixture
def api() -> Api:
    return Api("eu-west-1")


@pytest.fixture
def stubs(api: Api) -> Iterator[dict[Any, Stubber]]:
    """Answers of STS and IAM; each must be asked for."""
    found: dict[Any, Stubber] = {}
    for service in ("sts", "iam"):
        api.clients[service] = boto3.client(service, region_name="eu-west-1")
        found[service] = Stubber(api.clients[service])
        found[service].activate()
    yield found
    for stub in found.values():
        stub.assert_no_pending_responses()


def caller(stubs: dict[Any, Stubber], arn: str) -> None:
    stubs["sts"].add_response("get_caller_identity", {**META, "Arn": arn})


def result(action: str, resource: str, decision: str) -> dict[str, str]:
    return {"EvalActionName": action, "EvalResourceName": resource, "EvalDecision": decision}


def test_what_is_not_allowed_is_told_by_resource(api: Api, stubs: dict[Any, Stubber]) -> None:
    caller(stubs, "arn:aws:sts::123456789012:assumed-role/worker/i-0abc")
    asked = {"PolicySourceArn": ROLE, "ActionNames": ["sqs:DeleteMessage", "sqs:ReceiveMessage"]}
    stubs["iam"].add_response(
        "simulate_principal_policy",
        {
            **META,
            "EvaluationResults": [
                result("sqs:DeleteMessage", QUEUE, "implicitDeny"),
                result("sqs:ReceiveMessage", QUEUE, "allowed"),
            ],
            "IsTruncated": True,
            "Marker": "m",
        },
        {**asked, "ResourceArns": [QUEUE]},
    )
    part = {"EvalResourceName": QUEUE, "EvalResourceDecision": "explicitDeny"}
    whole = result("sqs:ReceiveMessage", "*", "allowed")
    stubs["iam"].add_response(
        "simulate_principal_policy",
        {**META, "EvaluationResults": [{**whole, "ResourceSpecificResults": [part]}]},
        {**asked, "ResourceArns": [QUEUE], "Marker": "m"},
    )
    stubs["iam"].add_response(
        "simulate_principal_policy",
        {**META, "EvaluationResults": [result("sns:Publish", TOPIC, "allowed")]},
        {"PolicySourceArn": ROLE, "ActionNames": ["sns:Publish"], "ResourceArns": [TOPIC]},
    )
    wanted = {QUEUE: {"sqs:ReceiveMessage", "sqs:DeleteMessage"}, TOPIC: {"sns:Publish"}}
    rights = CallerRights(Directory(api))
    assert rights.denied(wanted) == {QUEUE: ["sqs:DeleteMessage", "sqs:ReceiveMessage"]}


def test_who_may_not_ask_is_told_so(api: Api, stubs: dict[Any, Stubber]) -> None:
    caller(stubs, ROLE)
    stubs["iam"].add_client_error("simulate_principal_policy", "AccessDenied", "no", 403)
    with pytest.raises(BrokerUnavailable, match="does not allow iam:SimulatePrincipalPolicy"):
        CallerRights(Directory(api)).denied({QUEUE: {"sqs:SendMessage"}})


def test_the_root_user_may_everything(api: Api, stubs: dict[Any, Stubber]) -> None:
    caller(stubs, "arn:aws:iam::123456789012:root")
    assert CallerRights(Directory(api)).denied({QUEUE: {"sqs:SendMessage"}}) == {}


def test_another_endpoint_has_no_such_policies() -> None:
    api = Api("eu-west-1", "http://127.0.0.1:9")
    assert CallerRights(Directory(api)).denied({QUEUE: {"sqs:SendMessage"}}) == {}


def test_the_rights_that_are_wanted_are_those_that_are_exported() -> None:
    def handle(event: object) -> None: ...

    registry = Registry()
    assert wanted_rights(registry, "123456789012", "eu-west-1", {}) == {}
    registry.subscribe("made", queue="work")(handle)
    options = {"prefix": "live-", "idempotency": "dynamodb://events", "payloads": "s3://bucket/k"}
    options["state"] = "dynamodb://records"
    found = wanted_rights(registry, "123456789012", "eu-west-1", options)
    assert "sqs:ReceiveMessage" in found["arn:aws:sqs:eu-west-1:123456789012:live-work"]
    assert "sns:Publish" in found["arn:aws:sns:eu-west-1:123456789012:live-made"]
    assert "arn:aws:dynamodb:eu-west-1:123456789012:table/events" in found
    assert found["arn:aws:dynamodb:eu-west-1:123456789012:table/records/index/*"] == {
        "dynamodb:Query"
    }
    assert "arn:aws:s3:::bucket/k*" in found or "arn:aws:s3:::bucket/k/*" in found
