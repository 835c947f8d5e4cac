"""What AWS refuses and what the network does, each as one clear line of the right kind."""

# botocore has no types.
# mypy: allow-untyped-calls

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from botocore.stub import Stubber

from taskflow import open_broker
from taskflow.brokers.aws.broker import AwsBroker
from taskflow.errors import (
    BrokerError,
    BrokerUnavailable,
    InvalidFilterPolicy,
    LimitExceeded,
    OverLimit,
    QueueNotFound,
)
from taskflow.message import Message


@pytest.mark.parametrize(
    ("code", "status", "kind", "text"),
    [
        ("AccessDenied", 403, BrokerUnavailable, "does not allow sqs:SendMessageBatch on 'work'"),
        ("ExpiredToken", 403, BrokerUnavailable, "credentials have expired"),
        ("InvalidClientTokenId", 403, BrokerUnavailable, "does not know the credentials"),
        ("RequestThrottled", 403, BrokerUnavailable, "SendMessageBatch on 'work': RequestThrottl"),
        ("Whatever", 503, BrokerUnavailable, "Whatever: because"),
        ("AWS.SimpleQueueService.NonExistentQueue", 400, QueueNotFound, "no queue named 'work'"),
        ("OverLimit", 403, OverLimit, "120000 messages in flight"),
        ("InvalidAction", 400, BrokerUnavailable, "is it an SNS/SQS endpoint"),
        ("404", 404, BrokerUnavailable, "is it an SNS/SQS endpoint"),
        ("InvalidParameterValue", 400, LimitExceeded, "sqs:SendMessageBatch on 'work': because"),
    ],
)
def test_an_answer_of_aws_is_one_line(
    broker: AwsBroker, queue: str, code: str, status: int, kind: type[BrokerError], text: str
) -> None:
    broker.send(queue, [Message("0", "x")])
    with Stubber(broker.api.client("sqs")) as stub:
        stub.add_client_error("send_message_batch", code, "because", status)
        with pytest.raises(kind, match=text) as caught:
            broker.send(queue, [Message("1", "x")])
    assert "\n" not in str(caught.value)


def test_a_filter_policy_that_sns_refuses_is_told_so(broker: AwsBroker, queue: str) -> None:
    with Stubber(broker.api.client("sns")) as stub:
        stub.add_client_error("subscribe", "InvalidParameter", "FilterPolicy: too complex", 400)
        with pytest.raises(InvalidFilterPolicy, match="too complex"):
            broker.subscribe("order.created", queue)


def test_what_botocore_itself_refuses_is_a_limit(broker: AwsBroker, queue: str) -> None:
    with pytest.raises(LimitExceeded, match="Parameter validation failed"):
        broker.api.call("sqs", "get_queue_url", QueueName=7)


def test_a_publisher_that_may_not_look_may_still_publish(broker: AwsBroker, queue: str) -> None:
    def deny(**_: Any) -> None:
        raise BrokerUnavailable("AWS does not allow sns:GetTopicAttributes")

    broker.api.client("sns").meta.events.register("before-call.sns.GetTopicAttributes", deny)
    assert broker.publish("order.created", [Message("1", "x")]).subscriptions == 1


@pytest.mark.parametrize("reason", ["no credentials", "nobody listens"])
def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    if reason == "no credentials":
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    text = "set AWS_PROFILE" if reason == "no credentials" else f"127.0.0.1:{port}"
    broker = open_broker(f"aws://eu-west-1?endpoint=http://127.0.0.1:{port}&account=111122223333")
    with pytest.raises(BrokerUnavailable, match=text) as caught:
        broker.counts("work")
    assert "\n" not in str(caught.value)
    broker.close()


class Page(BaseHTTPRequestHandler):
    """A web server that has never heard of SQS."""

    status = 200

    def do_POST(self) -> None:
        body = b"<html><body>Welcome</body></html>"
        self.send_response(self.status)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(params=[200, 404, 405])
def website(request: pytest.FixtureRequest) -> Iterator[str]:
    handler = type("Page", (Page,), {"status": request.param})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("verb", ["counts", "publish"])
def test_an_endpoint_that_is_something_else_is_told_so(website: str, verb: str) -> None:
    broker = open_broker(f"aws://eu-west-1?endpoint={website}&account=111122223333")
    ask = {
        "counts": lambda: broker.counts("work"),
        "publish": lambda: broker.publish("order.created", [Message("1", "x")]),
    }[verb]
    with pytest.raises(BrokerUnavailable, match="is it an SNS/SQS endpoint"):
        ask()
    broker.close()
