"""SIGKILL amid traffic: what the server has acknowledged is there, what was deleted stays away."""

import json
import signal
import threading
from collections import defaultdict
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import apsw
import pytest

# Fixtures are found by their names.
from tests.e2e.test_serve import Serve, address, serve  # noqa: F401

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

KILLS = 3
BETWEEN = 150  # acknowledged messages from one kill to the next
PATIENCE = 60.0
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TOPIC = "arn:aws:sns:us-east-1:000000000000:news"
# What was lent when the server died comes back after this many seconds.
VISIBILITY = {"VisibilityTimeout": "2"}
QUEUES = {"work": VISIBILITY, "a": VISIBILITY, "b": VISIBILITY}
ORDERED = "ordered.fifo"


class Client:
    """One connection; it is opened again, once the server is back, when it breaks."""

    def __init__(self, port: int, up: threading.Event) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self._up = up

    def sqs(self, action: str, **params: Any) -> Any:
        """The answer, or None when there was none. Anything but 200 is a failure."""
        target = {"X-Amz-Target": f"AmazonSQS.{action}"}
        body = self._post(json.dumps(params), target)
        return None if body is None else json.loads(body)

    def sns(self, action: str, **fields: str) -> bytes | None:
        return self._post(urlencode({"Action": action, **fields}), FORM)

    def _post(self, body: str, headers: dict[str, str]) -> bytes | None:
        try:
            self._connection.request("POST", "/", body, headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, HTTPException):
            self.close()
            self._up.wait(PATIENCE)
            return None
        assert answer.status == 200, text
        return text

    def close(self) -> None:
        self._connection.close()


class Traffic:
    """Producers and consumers, and what they saw."""

    def __init__(self, port: int) -> None:
        self.up = threading.Event()
        self.up.set()
        self.sending = True
        self.receiving = True
        self.failures: list[str] = []
        self.sent: dict[str, set[str]] = defaultdict(set)
        self.seen: dict[str, list[str]] = defaultdict(list)
        self.deleted: dict[str, set[str]] = defaultdict(set)
        self._port = port
        self._changed = threading.Condition()

    def start(self, *work: Any) -> threading.Thread:
        """Run `work` in a thread with a client of its own."""
        verb, *args = work

        def run() -> None:
            with closing(Client(self._port, self.up)) as client:
                try:
                    verb(client, *args)
                except Exception as error:
                    self.failures.append(repr(error))

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    # ---- what they do -----------------------------------------------------------------------
    def send(self, client: Client, name: str) -> None:
        number = 0
        while self.sending:
            number += 1
            body = f"{name} {number}"
            if client.sqs("SendMessage", QueueUrl=url("work"), MessageBody=body):
                self._note(body, "work")

    def send_in_order(self, client: Client, group: str) -> None:
        """The same message again until it is accepted: the deduplication id makes it one."""
        number = 0
        while self.sending:
            number += 1
            body = f"{group}-{number}"
            message = {"MessageBody": body, "MessageGroupId": group, "MessageDeduplicationId": body}
            while not client.sqs("SendMessage", QueueUrl=url(ORDERED), **message):
                pass
            self._note(body, ORDERED)

    def publish(self, client: Client) -> None:
        number = 0
        while self.sending:
            number += 1
            if client.sns("Publish", TopicArn=TOPIC, Message=f"news {number}"):
                self._note(f"news {number}", "a", "b")

    def receive(self, client: Client, queue: str) -> None:
        while self.receiving:
            gone = self.deleted[queue].copy()
            params = {"MaxNumberOfMessages": 10, "WaitTimeSeconds": 1}
            found = client.sqs("ReceiveMessage", QueueUrl=url(queue), **params)
            messages = (found or {}).get("Messages", [])
            for message in messages:
                body = message["Body"]
                if body in gone:
                    self.failures.append(f"{body!r} came back to {queue}")
                if body not in self.seen[queue]:
                    self.seen[queue].append(body)
            for message in messages:
                entry = {"Id": "1", "ReceiptHandle": message["ReceiptHandle"]}
                done = None
                while done is None:  # it may be done already, and only the answer is lost
                    done = client.sqs("DeleteMessageBatch", QueueUrl=url(queue), Entries=[entry])
                if "Successful" in done:
                    with self._changed:
                        self.deleted[queue].add(message["Body"])
                        self._changed.notify_all()

    # ---- what is waited for -----------------------------------------------------------------
    def _note(self, body: str, *queues: str) -> None:
        with self._changed:
            for queue in queues:
                self.sent[queue].add(body)
            self._changed.notify_all()

    def wait_for_more(self, count: int) -> None:
        with self._changed:
            wanted = self._count() + count
            assert self._changed.wait_for(lambda: self._count() >= wanted, PATIENCE)

    def wait_for_the_end(self) -> None:
        """Until everything that was acknowledged is deleted."""
        with self._changed:
            self._changed.wait_for(
                lambda: all(self.sent[queue] <= self.deleted[queue] for queue in self.sent),
                PATIENCE,
            )

    def _count(self) -> int:
        return sum(map(len, self.sent.values()))


def url(queue: str) -> str:
    return f"http://localhost/000000000000/{queue}"


def declare(client: Client) -> None:
    for queue, attributes in QUEUES.items():
        client.sqs("CreateQueue", QueueName=queue, Attributes=attributes)
    client.sqs("CreateQueue", QueueName=ORDERED, Attributes=VISIBILITY | {"FifoQueue": "true"})
    client.sns("CreateTopic", Name="news")
    for queue in ("a", "b"):
        raw = {"Attributes.entry.1.key": "RawMessageDelivery", "Attributes.entry.1.value": "true"}
        endpoint = f"arn:aws:sqs:us-east-1:000000000000:{queue}"
        client.sns("Subscribe", TopicArn=TOPIC, Protocol="sqs", Endpoint=endpoint, **raw)


def test_kills_lose_nothing_and_bring_nothing_back(
    serve: Serve,  # noqa: F811
    tmp_path: Path,
) -> None:
    served = serve()
    port = int(served.url.rpartition(":")[2])
    traffic = Traffic(port)
    traffic.start(declare).join()
    senders = [traffic.start(traffic.send, name) for name in ("x", "y")]
    senders += [traffic.start(traffic.send_in_order, group) for group in ("g", "h")]
    senders.append(traffic.start(traffic.publish))
    receivers = [
        traffic.start(traffic.receive, queue) for queue in ("work", "work", "a", "b", ORDERED)
    ]
    try:
        for _ in range(KILLS):
            traffic.wait_for_more(BETWEEN)
            traffic.up.clear()
            served.end(signal.SIGKILL)
            served = serve("--port", str(port))
            traffic.up.set()
        traffic.wait_for_more(BETWEEN)
    finally:
        traffic.up.set()
        traffic.sending = False
        for sender in senders:
            sender.join()
        traffic.wait_for_the_end()
        traffic.receiving = False
        for receiver in receivers:
            receiver.join()
    assert traffic.failures == []
    for queue, sent in traffic.sent.items():
        assert sent - set(traffic.seen[queue]) == set(), queue
        assert sent - traffic.deleted[queue] == set(), queue
    for group in ("g", "h"):
        seen = [body for body in traffic.seen[ORDERED] if body.startswith(group)]
        assert seen == [f"{group}-{number}" for number in range(1, len(seen) + 1)]
    assert served.end() == 0
    with closing(apsw.Connection(str(tmp_path / "broker.db"))) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
