"""SDKs over a socket: boto3 through every operation, and queries as older SDKs send them.

The short form of `make clients`, which drives more clients through the same sequences.
"""

import hashlib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from types import ModuleType
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

import pytest

from taskflow import open_broker
from taskflow.testing import wire_server
from tests.clients import boto3_sdk, sns_operations, sqs_operations
from tests.clients.boto3_sdk import connect, find_uncalled
from tests.clients.steps import Steps
from tests.clients.wire import Wire

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

SQS = "{http://queue.amazonaws.com/doc/2012-11-05/}"
SNS = "{http://sns.amazonaws.com/doc/2010-03-31/}"
ACCOUNT = "000000000000"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A server on a free port, over a broker in memory with the real clock."""
    with closing(open_broker("memory://")) as broker, wire_server(broker) as server:
        yield server.url


@pytest.fixture
def wire(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Wire:
    """Both services through boto3."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    sqs, sns = connect("sqs", endpoint), connect("sns", endpoint)
    return Wire(sqs, sns, "test", Steps(lambda _: None))


@pytest.mark.parametrize(
    ("service", "module"), [("sqs", sqs_operations), ("sns", sns_operations)], ids=["sqs", "sns"]
)
def test_boto3_through_every_operation(wire: Wire, service: str, module: ModuleType) -> None:
    for section in module.SECTIONS:
        section(wire)
    assert wire.steps.differences == []
    assert find_uncalled(getattr(wire, service)) == []


def test_boto3_resources_pages_and_presigned_urls(wire: Wire, endpoint: str) -> None:
    boto3_sdk.use_resources(wire, endpoint)
    assert wire.steps.differences == []


def test_a_difference_ends_a_client_with_1() -> None:
    said: list[str] = []
    steps = Steps(said.append)
    steps.same("like", 1, 1)
    assert steps.end() == 0
    steps.same("unlike", 1, 2)
    assert steps.end() == 1
    assert "DIFFERS unlike: 1 is not 2" in said


def test_a_call_that_is_not_refused_is_a_difference() -> None:
    steps = Steps(lambda _: None)
    steps.refused("refused", "NotFound", dict, x=1)
    assert steps.differences == ["""refused: "no error, but {'x': 1}" is not 'NotFound'"""]


# A GET that changes something needs a header that no page can make a browser send.
SIGNED = (
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, "
    "Signature=0"
)


# ---- queries ------------------------------------------------------------------------------------
def query(url: str, method: str, **fields: object) -> tuple[int, ElementTree.Element]:
    """Send the fields as a form or in the URL; answers the status and the document."""
    form = urlencode(fields)
    request = urllib.request.Request(
        url if method == "POST" else f"{url}?{form}",
        form.encode() if method == "POST" else None,
        {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        | ({"Authorization": SIGNED} if method == "GET" else {}),
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, ElementTree.fromstring(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ElementTree.fromstring(error.read())


def text(document: ElementTree.Element, *path: str, space: str = SQS) -> str | None:
    return document.findtext("/".join(f"{space}{name}" for name in path))


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_message_there_and_back_by_queries(endpoint: str, method: str) -> None:
    name = f"query-{method}"
    fields = {
        "Action": "CreateQueue",
        "Version": "2012-11-05",
        "QueueName": name,
        "Attribute.1.Name": "VisibilityTimeout",
        "Attribute.1.Value": 50,
        "Tag.1.Key": "team",
        "Tag.1.Value": "shop",
    }
    status, made = query(f"{endpoint}/", method, **fields)
    url = text(made, "CreateQueueResult", "QueueUrl")
    assert (status, url) == (200, f"{endpoint}/{ACCOUNT}/{name}")
    assert url is not None
    body = 'a <b> & "c" é 😀'
    fields = {
        "Action": "SendMessage",
        "MessageBody": body,
        "MessageAttribute.1.Name": "kind",
        "MessageAttribute.1.Value.DataType": "String",
        "MessageAttribute.1.Value.StringValue": "big",
    }
    _, sent = query(url, method, **fields)  # the address says which queue
    md5 = hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()
    assert text(sent, "SendMessageResult", "MD5OfMessageBody") == md5
    ask = {"AttributeName.1": "ApproximateReceiveCount", "MessageAttributeName.1": "All"}
    _, found = query(url, method, Action="ReceiveMessage", WaitTimeSeconds=20, **ask)
    (message,) = found.iter(f"{SQS}Message")
    assert text(message, "Body") == body
    assert text(message, "Attribute", "Value") == "1"
    assert text(message, "MessageAttribute", "Name") == "kind"
    assert text(message, "MessageAttribute", "Value", "StringValue") == "big"
    receipt = text(message, "ReceiptHandle")
    _, deleted = query(
        f"{endpoint}/", method, Action="DeleteMessage", QueueUrl=url, ReceiptHandle=receipt
    )
    assert text(deleted, "ResponseMetadata", "RequestId")
    _, counted = query(url, method, Action="GetQueueAttributes", **{"AttributeName.1": "All"})
    pairs = {text(one, "Name"): text(one, "Value") for one in counted.iter(f"{SQS}Attribute")}
    assert pairs["VisibilityTimeout"] == "50"
    counts = [pairs[f"ApproximateNumberOfMessages{which}"] for which in ("", "NotVisible")]
    assert counts == ["0", "0"]


def test_a_batch_by_query(endpoint: str) -> None:
    _, made = query(f"{endpoint}/", "POST", Action="CreateQueue", QueueName="query-batch")
    url = text(made, "CreateQueueResult", "QueueUrl")
    assert url is not None
    entries = {
        f"SendMessageBatchRequestEntry.{n}.{field}": value
        for n, body in enumerate(["one", "\x01", "three"], 1)
        for field, value in (("Id", f"n{n}"), ("MessageBody", body))
    }
    status, sent = query(url, "POST", Action="SendMessageBatch", **entries)
    assert status == 200
    accepted = sent.iter(f"{SQS}SendMessageBatchResultEntry")
    assert [text(one, "Id") for one in accepted] == ["n1", "n3"]
    (failed,) = sent.iter(f"{SQS}BatchResultErrorEntry")
    shown = [text(failed, name) for name in ("Id", "Code", "SenderFault")]
    assert shown == ["n2", "InvalidMessageContents", "true"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refusal_by_query(endpoint: str, method: str) -> None:
    status, answer = query(
        f"{endpoint}/", method, Action="GetQueueUrl", QueueName="none", Version="2012-11-05"
    )
    assert (status, answer.tag) == (400, f"{SQS}ErrorResponse")
    assert text(answer, "Error", "Code") == "AWS.SimpleQueueService.NonExistentQueue"
    message = "The specified queue does not exist for this wsdl version."
    assert text(answer, "Error", "Message") == message


def test_sns_to_sqs_by_queries(endpoint: str) -> None:
    _, made = query(f"{endpoint}/", "POST", Action="CreateTopic", Name="query-topic")
    arn = text(made, "CreateTopicResult", "TopicArn", space=SNS)
    _, made = query(f"{endpoint}/", "POST", Action="CreateQueue", QueueName="query-sns")
    url = text(made, "CreateQueueResult", "QueueUrl")
    assert url is not None
    name = urlsplit(url).path.rpartition("/")[2]
    attributes = {
        "Attributes.entry.1.key": "RawMessageDelivery",
        "Attributes.entry.1.value": "true",
        "Protocol": "sqs",
        "Endpoint": f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}",
    }
    query(f"{endpoint}/", "POST", Action="Subscribe", TopicArn=arn, **attributes)
    entry = "MessageAttributes.entry.1"
    kind = {
        f"{entry}.Name": "kind",
        f"{entry}.Value.DataType": "String",
        f"{entry}.Value.StringValue": "big",
    }
    _, sent = query(f"{endpoint}/", "POST", Action="Publish", TopicArn=arn, Message="é", **kind)
    assert text(sent, "PublishResult", "MessageId", space=SNS)
    ask = {"MessageAttributeName.1": "kind", "WaitTimeSeconds": 20}
    _, found = query(url, "GET", Action="ReceiveMessage", **ask)
    (message,) = found.iter(f"{SQS}Message")
    shown = text(message, "Body"), text(message, "MessageAttribute", "Value", "StringValue")
    assert shown == ("é", "big")
