"""boto3: every operation of both services, then what only boto3 has."""

# boto3 has no types.
# mypy: allow-untyped-calls

import sys
import urllib.request
from typing import Any

import boto3
import botocore
from botocore.config import Config

from tests.clients import sns_operations, sqs_operations
from tests.clients.steps import Steps
from tests.clients.wire import REGION, Calls, Wire

SECTIONS = sqs_operations.SECTIONS + sns_operations.SECTIONS
# In the names of operations for SMS and mobile push. The sequence calls one and is refused.
PHONES = ("sms", "phone", "platform", "endpoint", "origination")


def connect(service: str, endpoint: str, **more: Any) -> Any:
    """A boto3 client that asks once, so that an error is seen and not tried again."""
    config = Config(retries={"total_max_attempts": 1}, read_timeout=60)
    return boto3.client(service, REGION, endpoint_url=endpoint, config=config, **more)


def find_uncalled(*clients: Calls) -> list[str]:
    """The operations that were not called on their client, but for those about phones."""
    return [
        method
        for client in clients
        for method in client.meta.method_to_api_mapping
        if method not in client.names and not any(word in method for word in PHONES)
    ]


def use_resources(wire: Wire, endpoint: str) -> None:
    """boto3's object interface, paginators and presigned URLs."""
    steps = wire.steps
    queue = boto3.resource("sqs", REGION, endpoint_url=endpoint).Queue(wire.queue("resource"))
    queue.send_message(MessageBody="x")
    (message,) = queue.receive_messages(WaitTimeSeconds=20)
    message.delete()
    queue.reload()
    steps.same("a resource", queue.attributes["ApproximateNumberOfMessages"], "0")
    pages = wire.sqs.get_paginator("list_queues").paginate(
        QueueNamePrefix=wire.prefix, PaginationConfig={"PageSize": 3}
    )
    names = [url.rpartition("/")[2] for page in pages for url in page["QueueUrls"]]
    sorted_and_whole = names == sorted(set(names)) and wire.name("resource") in names
    steps.same("a paginator", sorted_and_whole, True)
    for n in range(101):
        wire.topic(f"page-{n:03}")
    first, *rest = (page["Topics"] for page in wire.sns.get_paginator("list_topics").paginate())
    steps.same("a paginator of SNS", (len(first), len(rest) > 0), (100, True))
    params = {"TopicArn": wire.topic("page-000")}  # a server without keys lets a GET change nothing
    signed = wire.sns.generate_presigned_url(
        "get_topic_attributes", Params=params, HttpMethod="GET"
    )
    with urllib.request.urlopen(signed, timeout=30) as answer:
        steps.same("a presigned URL", b"<key>TopicArn</key>" in answer.read(), True)


def use_exceptions(wire: Wire, endpoint: str) -> None:
    """The exceptions of the model, and what a wrong secret is told."""
    try:
        wire.sqs.get_queue_url(QueueName="none")
        found = "no error"
    except wire.sqs.exceptions.QueueDoesNotExist as error:
        found = error.response["Error"]["QueryErrorCode"]
    wire.steps.same("an exception of the model", found, "QueueDoesNotExist")
    stranger = connect("sqs", endpoint, aws_secret_access_key="wrong", aws_access_key_id="TFNONE")
    wire.steps.refused("a stranger", "InvalidClientTokenId", stranger.list_queues)
    known = boto3.session.Session().get_credentials().access_key
    liar = connect("sqs", endpoint, aws_secret_access_key="wrong", aws_access_key_id=known)
    wire.steps.refused("a wrong secret", "SignatureDoesNotMatch", liar.list_queues)


def main(endpoint: str) -> int:
    steps = Steps()
    sqs, sns = connect("sqs", endpoint), connect("sns", endpoint)
    steps.versions(f"boto3 {boto3.__version__}, botocore {botocore.__version__}")
    steps.same("SQS is spoken as", sqs.meta.service_model.metadata["protocol"], "json")
    wire = Wire(sqs, sns, "boto3", steps)
    for section in SECTIONS:
        section(wire)
    steps.same("every operation was called", find_uncalled(wire.sqs, wire.sns), [])
    identity = connect("sts", endpoint).get_caller_identity()
    steps.same("STS GetCallerIdentity", identity["Account"], "000000000000")
    for use in (use_resources, use_exceptions):
        use(wire, endpoint)
    return steps.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
