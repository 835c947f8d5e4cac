"""Regions, accounts and hosts over the wire: what queues are called and which one is meant."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from taskflow.server.app import App
from taskflow.server.backend import Backend
from taskflow.server.protocol import HttpRequest
from tests.taskflow.server.test_boto3 import connect
from tests.taskflow.server.wire import FORM, JSON, OnServer, ask, make_app, make_scope

Refused = Callable[..., tuple[str, str, str]]
GONE = "AWS.SimpleQueueService.NonExistentQueue"
HOME, OTHER = "us-east-1", "eu-west-1"


def read_scope(request: HttpRequest) -> tuple[str, str, str] | None:
    """(access key, region, service) of a signature, unchecked."""
    _, found, rest = request.header("authorization").partition("Credential=")
    if not found:
        return None
    key, _, region, service, _ = rest.partition(",")[0].split("/")
    return key, region, service


@pytest.fixture
def signed(actions: Any, backend: Backend) -> App:
    """An app that goes by the signatures, on the loop of the test."""
    return make_app(actions, clock=backend.broker.clock, scope_of=read_scope)


@pytest.fixture
def at(signed: App, run: Callable[..., Any]) -> Callable[[str], Any]:
    """A boto3 client of SQS in a region."""
    return lambda region: connect(OnServer(signed, run), "sqs", region)


At = Callable[[str], Any]


def test_queues_of_another_region_are_others(at: At, refused: Refused, backend: Backend) -> None:
    home, other = at(HOME), at(OTHER)
    url = home.create_queue(QueueName="work", Attributes={"DelaySeconds": "1"})["QueueUrl"]
    assert refused(other.get_queue_url, QueueName="work")[0] == GONE
    assert "QueueUrls" not in other.list_queues()
    assert other.create_queue(QueueName="work")["QueueUrl"] == url
    other.create_queue(QueueName="more")
    assert home.list_queues()["QueueUrls"] == [url]
    assert len(other.list_queues()["QueueUrls"]) == 2
    other.send_message(QueueUrl=url, MessageBody="a")
    assert "Messages" not in home.receive_message(QueueUrl=url)
    (found,) = other.receive_message(QueueUrl=url)["Messages"]
    home.delete_message(QueueUrl=url, ReceiptHandle=found["ReceiptHandle"])
    other.delete_message(QueueUrl=url, ReceiptHandle=found["ReceiptHandle"])
    assert backend.broker.queues() == ["eu-west-1/more", "eu-west-1/work", "work"]
    other.delete_queue(QueueUrl=url)
    assert home.list_queues()["QueueUrls"] == [url]


@pytest.mark.parametrize("region", [HOME, OTHER])
def test_arns_name_the_region(at: At, region: str) -> None:
    client = at(region)
    arn = f"arn:aws:sqs:{region}:000000000000:"
    dead = client.create_queue(QueueName="dead")["QueueUrl"]
    asked = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
    assert asked["Attributes"] == {"QueueArn": f"{arn}dead"}
    policy = {"deadLetterTargetArn": f"{arn}dead", "maxReceiveCount": 1}
    attributes = {"RedrivePolicy": json.dumps(policy), "VisibilityTimeout": "0"}
    url = client.create_queue(QueueName="work", Attributes=attributes)["QueueUrl"]
    asked = client.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])
    assert json.loads(asked["Attributes"]["RedrivePolicy"]) == policy
    assert client.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]
    client.send_message(QueueUrl=url, MessageBody="a")
    for _ in range(2):
        client.receive_message(QueueUrl=url)
    (letter,) = client.receive_message(QueueUrl=dead, AttributeNames=["All"])["Messages"]
    assert letter["Attributes"]["DeadLetterQueueSourceArn"] == f"{arn}work"


def test_a_dead_letter_queue_is_in_the_region_of_its_source(at: At, refused: Refused) -> None:
    at(HOME).create_queue(QueueName="dead")
    arn = f"arn:aws:sqs:{HOME}:000000000000:dead"
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    answer = refused(at(OTHER).create_queue, QueueName="work", Attributes={"RedrivePolicy": policy})
    assert answer[0] == "InvalidParameterValue"
    assert answer[2].endswith("Dead-letter queue must be in the region of the queue.")


@pytest.mark.parametrize(
    ("host", "signature", "region"),
    [
        ("sqs.eu-west-1.amazonaws.com", HOME, OTHER),
        ("eu-west-1.queue.amazonaws.com", HOME, OTHER),
        ("sqs.us-east-1.amazonaws.com", OTHER, HOME),
        ("localhost", OTHER, OTHER),
    ],
)
def test_a_queue_url_of_aws_names_its_region(
    at: At, backend: Backend, host: str, signature: str, region: str
) -> None:
    for one in (HOME, OTHER):
        at(one).create_queue(QueueName="work")
    url = f"https://{host}/000000000000/work"
    at(signature).send_message(QueueUrl=url, MessageBody="a")
    stored = {HOME: "work", OTHER: "eu-west-1/work"}
    counts = {one: backend.broker.counts(queue).visible for one, queue in stored.items()}
    assert counts == {HOME: 0, OTHER: 0} | {region: 1}


@pytest.mark.parametrize(
    "host", ["localhost:9324", "queues.example", "127.0.0.1:80", "[::1]:9324", "sqs.local:443"]
)
@pytest.mark.parametrize("json_protocol", [True, False])
def test_urls_follow_the_host(
    signed: App, backend: Backend, run: Callable[..., Any], host: str, json_protocol: bool
) -> None:
    backend.broker.create_queue("work")
    headers = (("host", host), ("x-amz-target", "AmazonSQS.GetQueueUrl"), JSON)
    body = b'{"QueueName": "work"}'
    if not json_protocol:
        headers, body = (("host", host), FORM, FORM), b"Action=GetQueueUrl&QueueName=work"
    answer = run(ask(signed, make_scope("POST", "/", "", headers), body))
    found = answer.json if json_protocol else answer.xml
    assert found["QueueUrl"] == f"http://{host}/000000000000/work"


@pytest.mark.parametrize(
    "path", ["/000000000000/work", "/000000000000/work/", "http://elsewhere/000000000000/work"]
)
def test_a_queue_is_found_by_any_url_with_its_path(at: At, path: str) -> None:
    client = at(HOME)
    client.create_queue(QueueName="work")
    client.send_message(QueueUrl=path, MessageBody="a")
    assert len(client.receive_message(QueueUrl=path)["Messages"]) == 1


def test_a_request_to_the_url_of_a_queue_means_it(signed: App, backend: Backend, run: Any) -> None:
    backend.broker.create_queue("work")
    for method, query, body in (
        ("GET", "Action=SendMessage&MessageBody=a", b""),
        ("POST", "", b"Action=SendMessage&MessageBody=b"),
    ):
        headers = (("host", "localhost"), FORM)
        scope = make_scope(method, "/000000000000/work", query, headers)
        assert run(ask(signed, scope, body)).status == 200
    assert backend.broker.counts("work").visible == 2


@pytest.mark.parametrize(("owner", "found"), [("000000000000", True), ("111111111111", False)])
def test_the_owner_may_be_named(at: At, refused: Refused, owner: str, found: bool) -> None:
    client = at(HOME)
    url = client.create_queue(QueueName="work")["QueueUrl"]
    given = {"QueueName": "work", "QueueOwnerAWSAccountId": owner}
    if found:
        assert client.get_queue_url(**given)["QueueUrl"] == url
    else:
        assert refused(client.get_queue_url, **given)[0] == GONE
