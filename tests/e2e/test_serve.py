"""`taskflow serve` as users run it: a process, a file, boto3, signals."""

# boto3 has no types.
# mypy: allow-untyped-calls

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from taskflow import Registry, Worker, open_broker

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


TASKFLOW = (sys.executable, "-m", "taskflow.cli")


def taskflow(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end."""
    return subprocess.run([*TASKFLOW, *words], capture_output=True, text=True, timeout=60)


class Served:
    """A running `taskflow serve` on a free port."""

    def __init__(self, address: str, *options: str) -> None:
        self.process = subprocess.Popen(
            [*TASKFLOW, "serve", "--port", "0", "--broker", address, *options],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONWARNINGS": ""},
        )
        self.said: list[str] = []
        self._clients: list[Any] = []
        self.url = self.wait_for(r"serving SQS and SNS at (\S+)")[1]
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait_for(self, pattern: str) -> "re.Match[str]":
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError("".join(self.said))

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.said.extend(self.process.stderr)

    def client(self, service: str = "sqs", **more: Any) -> Any:
        access = {"aws_access_key_id": "x", "aws_secret_access_key": "x"} | more
        config = Config(retries={"total_max_attempts": 1}, read_timeout=60)
        client = boto3.client(
            service, endpoint_url=self.url, region_name="us-east-1", config=config, **access
        )
        self._clients.append(client)
        return client

    def close(self) -> None:
        """Kill it if it still runs, and close what belongs to it."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stderr is not None
        self.process.stderr.close()
        for client in self._clients:
            client.close()

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


Serve = Callable[..., Served]


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/broker.db"


@pytest.fixture
def serve(address: str) -> Iterator[Serve]:
    """Start a server over `address`; killed at the end if it still runs."""
    started: list[Served] = []

    def start(*options: str) -> Served:
        started.append(Served(address, *options))
        return started[-1]

    yield start
    for one in started:
        one.close()


def test_sigterm_answers_a_parked_poll_and_ends_with_0(serve: Serve) -> None:
    served = serve()
    sqs = served.client()
    url = sqs.create_queue(QueueName="orders")["QueueUrl"]
    answers: list[Any] = []
    poll = threading.Thread(
        target=lambda: answers.append(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20))
    )
    poll.start()
    with urllib.request.urlopen(f"{served.url}/stats") as stats:  # the poll may not be parked yet
        assert stats.status == 200
    assert served.end() == 0
    poll.join(30)
    assert not poll.is_alive()


def test_what_was_accepted_survives_sigkill(serve: Serve) -> None:
    served = serve()
    sqs = served.client()
    url = sqs.create_queue(QueueName="orders.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    first = sqs.send_message(
        QueueUrl=url, MessageBody="a", MessageGroupId="g", MessageDeduplicationId="1"
    )
    served.end(signal.SIGKILL)
    served = serve()
    sqs = served.client()
    url = sqs.get_queue_url(QueueName="orders.fifo")["QueueUrl"]
    again = sqs.send_message(
        QueueUrl=url, MessageBody="a", MessageGroupId="g", MessageDeduplicationId="1"
    )
    assert again["MessageId"] == first["MessageId"]
    (message,) = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert (message["MessageId"], message["Body"]) == (first["MessageId"], "a")


def test_workers_of_the_file_and_clients_of_the_server_see_one_broker(
    serve: Serve, address: str
) -> None:
    served = serve()
    sns = served.client("sns")
    seen: list[Any] = []
    registry = Registry()

    @registry.subscribe("order.created", queue="audit")
    def record(payload: dict[str, Any]) -> None:
        seen.append(payload)

    with closing(open_broker(address)) as broker:
        worker = Worker(broker, registry=registry)
        event = {"specversion": "1.0", "id": "e1", "source": "shop", "type": "order.created"}
        arn = sns.create_topic(Name="order-created")["TopicArn"]
        sns.publish(TopicArn=arn, Message=json.dumps(event | {"data": {"n": 1}}))
        worker.step(wait=20)
        assert seen == [{"n": 1}]
        worker.drain()
    sqs = served.client()
    url = sqs.get_queue_url(QueueName="audit")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["ApproximateNumberOfMessages"] == "0"
    assert "audit-dlq" in attributes["RedrivePolicy"]


def test_a_second_server_on_the_port_says_so(serve: Serve, address: str) -> None:
    port = serve().url.rpartition(":")[2]
    second = taskflow("serve", "--port", port, "--broker", address)
    assert second.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in second.stderr


def test_another_host_needs_keys(address: str) -> None:
    done = taskflow("serve", "--host", "0.0.0.0", "--broker", address)
    assert done.returncode == 2
    assert "needs access keys: `taskflow keys add NAME` makes one" in done.stderr


def test_keys_are_asked_for_and_limit_what_may_be_done(serve: Serve, address: str) -> None:
    limits = ("--queue", "orders*", "--verb", "send", "--verb", "manage")
    made = taskflow("keys", "add", "shop", "--shell", *limits, "--broker", address).stdout
    id, secret = re.findall(r"KEY(?:_ID)?='?([A-Za-z0-9+/=_-]+)", made)
    served = serve()
    with pytest.raises(ClientError, match="security token included in the request is invalid"):
        served.client().list_queues()
    with pytest.raises(ClientError, match="signature we calculated does not match"):
        served.client(aws_access_key_id=id, aws_secret_access_key="wrong").list_queues()
    sqs = served.client(aws_access_key_id=id, aws_secret_access_key=secret)
    url = sqs.create_queue(QueueName="orders")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="x")
    with pytest.raises(ClientError, match=r"not authorized to perform: sqs:ReceiveMessage"):
        sqs.receive_message(QueueUrl=url)
    with pytest.raises(ClientError, match=r"not authorized to perform: sqs:CreateQueue"):
        sqs.create_queue(QueueName="payments")


def test_init_declares_from_yaml(serve: Serve, tmp_path: Path) -> None:
    topology = tmp_path / "topology.yaml"
    topology.write_text(
        """
topics:
  order.created:
queues:
  audit: {visibility_timeout: 60, dead_letter_queue: audit-dlq, max_receives: 3}
  audit-dlq:
subscriptions:
  - {topic: order.created, queue: audit, filter_policy: {kind: [big]}}
"""
    )
    served = serve("--init", str(topology))
    sqs, sns = served.client(), served.client("sns")
    (topic,) = sns.list_topics()["Topics"]
    for kind in ("small", "big"):
        sns.publish(
            TopicArn=topic["TopicArn"],
            Message=kind,
            MessageAttributes={"kind": {"DataType": "String", "StringValue": kind}},
        )
    url = sqs.get_queue_url(QueueName="audit")["QueueUrl"]
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [message["Body"] for message in found] == ["big"]


def test_init_names_what_is_wrong(tmp_path: Path, address: str) -> None:
    topology = tmp_path / "topology.yaml"
    topology.write_text("queues:\n  audit: {visibility: 60}\n")
    done = taskflow("serve", "--init", str(topology), "--broker", address, "--port", "0")
    assert done.returncode == 2
    assert "audit has an unknown attribute 'visibility'; known: visibility_timeout" in done.stderr


def test_tls(serve: Serve, tmp_path: Path) -> None:
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    new = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=localhost",
    ]
    files = ("-keyout", key, "-out", certificate, "-addext", "subjectAltName=IP:127.0.0.1")
    subprocess.run([*new, *files], check=True, capture_output=True)
    served = serve("--certificate", certificate, "--certificate-key", key)
    assert served.url.startswith("https://127.0.0.1:")
    trust = ssl.create_default_context(cafile=certificate)
    with urllib.request.urlopen(f"{served.url}/health", context=trust) as answer:
        assert answer.status == 200


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broker.db").write_text("this is no database, but a text that is long enough")
    done = taskflow("serve", "--port", "0", "--broker", f"sqlite:///{tmp_path}/broker.db")
    assert done.returncode == 1
    assert "is not an SQLite file" in done.stderr
