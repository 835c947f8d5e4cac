"""The fast way answers what the long way answers, byte for byte, and knows what it must decline."""

import asyncio
import errno
import json
import re
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from taskflow import open_broker
from taskflow.broker import Broker, QueueSettings
from taskflow.errors import BrokerFileError
from taskflow.message import Message
from taskflow.server.app import App
from taskflow.server.backend import Backend
from taskflow.server.connection import Connection
from taskflow.server.fast_way import Plan, make_fast_way
from taskflow.server.keys import Keys
from taskflow.server.pace import Pace
from taskflow.server.protocol import HttpResponse
from taskflow.server.serving import WireServer
from taskflow.server.waiting import Waiting
from taskflow.server.wire_call import Caller
from taskflow.stores.sqlite import disk_sync
from taskflow.testing import ManualClock, wire_server

SECONDS = 10.0
REGION = "us-east-1"
BASE = "http://localhost/000000000000/"
CREDENTIAL = "AWS4-HMAC-SHA256 Credential=%s, SignedHeaders=host;x-amz-date, Signature=0"
DATE = "X-Amz-Date: 20260101T000000Z"
SIGNED = ("Authorization: " + CREDENTIAL % "AK/20260101/us-east-1/sqs/aws4_request", DATE)
ELSEWHERE = ("Authorization: " + CREDENTIAL % "AK/20260101/eu-west-1/sqs/aws4_request", DATE)
LAST = "the receipt of what was received last"


@dataclass
class Ask:
    """A request, and whether the fast way is to answer it."""

    action: str
    body: Any
    fast: bool = True
    headers: Sequence[str] = ()
    host: str = "Host: localhost\r\n"
    line: str = "POST / HTTP/1.1"
    queue: str = field(default=f"{BASE}work")

    def bytes(self, receipt: str) -> bytes:
        body = self.body
        if isinstance(body, dict):
            given = {"QueueUrl": self.queue, **body}
            body = json.dumps({k: receipt if v == LAST else v for k, v in given.items()}).encode()
        lines = [*self.headers]
        if not any(line.startswith(("Content-Length", "Transfer")) for line in lines):
            lines.append(f"Content-Length: {len(body)}")
        if not any(line.startswith("Content-Type") for line in lines):
            lines.append("Content-Type: application/x-amz-json-1.0")
        if self.action:
            lines.append(f"X-Amz-Target: {self.action}")
        head = f"{self.line}\r\n{self.host}" + "".join(f"{line}\r\n" for line in lines)
        return head.encode() + b"\r\n" + bytes(body)


def send(body: Any, fast: bool = True, **more: Any) -> Ask:
    if isinstance(body, str):
        body = {"MessageBody": body}
    return Ask("AmazonSQS.SendMessage", body, fast, **more)


def receive(fast: bool = True, **more: Any) -> Ask:
    how = {name: more.pop(name) for name in ("queue", "headers", "host") if name in more}
    return Ask("AmazonSQS.ReceiveMessage", more, fast, **how)


def delete(receipt: str, fast: bool = True, **more: Any) -> Ask:
    return Ask("AmazonSQS.DeleteMessage", {"ReceiptHandle": receipt}, fast, **more)


TABLE = [
    send("plain"),
    receive(),
    delete(LAST),
    delete(LAST),  # twice is no error
    receive(),
    receive(WaitTimeSeconds=0),
    send('ü \U0001f600 " \\ \t'),
    receive(MaxNumberOfMessages=10, VisibilityTimeout=0),
    receive(AttributeNames=["All"], VisibilityTimeout=0),
    receive(MessageSystemAttributeNames=["SenderId", "SentTimestamp"], VisibilityTimeout=0),
    receive(MessageAttributeNames=["All"], AttributeNames=["QueueArn"]),
    receive(False, AttributeNames=["Nonsense"]),
    send("by its name", queue="work"),
    send("by its path", queue="/000000000000/work"),
    send("signed", headers=SIGNED),
    send("signed, no date", False, headers=SIGNED[:1]),
    receive(MaxNumberOfMessages=10, AttributeNames=["SenderId"]),
    send("elsewhere", False, headers=ELSEWHERE),  # no such queue there
    send("other account", False, queue="http://localhost/111111111111/work"),
    send("gone", False, queue=f"{BASE}gone"),
    send("fifo", False, queue=f"{BASE}work.fifo"),
    send("x" * 1025, False, queue=f"{BASE}small"),
    send("x" * 1024, queue=f"{BASE}small"),
    send("x" * 70_000, False),
    send("", False),
    send("nul \0", False),
    send({"MessageBody": "later", "DelaySeconds": 5}, False),
    send(
        {
            "MessageBody": "n",
            "MessageAttributes": {"n": {"DataType": "Number", "StringValue": "1"}},
        },
        False,
    ),
    receive(MessageAttributeNames=["n*", "n"]),
    send({"MessageBody": None}, False),
    send({"MessageBody": 5}, False),
    send({"MessageBody": "x", "Unknown": 1}, False),
    send(b"", False),
    send(b"[]", False),
    send(b"{", False),
    send(b'{"QueueUrl": "%swork", "MessageBody": "\xff"}' % BASE.encode(), False),
    send(b'{"QueueUrl": "gone", "QueueUrl": "work", "MessageBody": "the last counts"}'),
    receive(False, MaxNumberOfMessages=11),
    receive(False, MaxNumberOfMessages=0),
    receive(False, MaxNumberOfMessages=1.0),
    receive(False, MaxNumberOfMessages=True),
    receive(False, VisibilityTimeout=43201),
    receive(False, VisibilityTimeout=-1),
    receive(False, WaitTimeSeconds=21),
    receive(False, WaitTimeSeconds=None),
    receive(WaitTimeSeconds=20),  # something is there
    send("polled", queue=f"{BASE}polled"),
    receive(queue=f"{BASE}polled"),  # it would wait, were nothing there
    receive(False, queue=f"{BASE}gone"),
    delete("nonsense", False),
    delete(LAST, False, queue=f"{BASE}gone"),
    send("x", False, headers=["Origin: http://elsewhere"]),
    send("x", False, headers=["Referer: http://localhost/"]),
    send("x", False, headers=["Sec-Fetch-Site: cross-site"]),
    send("x", False, headers=["Content-Encoding: gzip"]),
    send("x", False, headers=["Content-Type: application/x-amz-json-1.0; charset=utf-16"]),
    send("x", headers=["Content-Type: text/plain"]),
    send("x", False, headers=["X-Amzn-Trace-Id: Root=1-5759e988-bd862e3fe1be46a994272793"]),
    send("x", False, headers=["X-Amz-Target: AmazonSQS.DeleteMessage"]),
    send("x", False, headers=["Connection: close"]),
    send("x", headers=["Connection: keep-alive"]),
    send("x", False, host="Host: evil.example\r\n"),
    send("x", False, host="Host: localhost\r\nHost: localhost\r\n"),
    send("x", False, host=""),
    send("x", headers=SIGNED, host="Host: some.example:9324\r\n"),
    send("x", False, line="POST /000000000000/work HTTP/1.1"),
    send("x", False, line="POST /?Action=SendMessage HTTP/1.1"),
    send("x", False, line="PUT / HTTP/1.1"),
    send("x", False, line="POST / HTTP/1.0"),
    send(b"0\r\n\r\n", False, headers=["Transfer-Encoding: chunked"]),
    send(b"{}", False, headers=["Content-Length: 2", "Expect: 100-continue"]),
    Ask("AmazonSQS.GetQueueUrl", {"QueueName": "work"}, False),
    Ask("Other.SendMessage", {"MessageBody": "x"}, False),
    Ask("", b"Action=ListQueues", False, ["Content-Type: application/x-www-form-urlencoded"]),
]


class Client:
    """One connection, made again when the server has hung up."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def write(self, data: bytes) -> None:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), SECONDS)
            self._data = b""
        self._socket.sendall(data)

    def read(self) -> bytes:
        """One answer."""
        assert self._socket is not None
        while (end := self._data.find(b"\r\n\r\n")) < 0 and self._more():
            pass
        found = re.search(rb"\r\ncontent-length: (\d+)", self._data[:end])
        size = end + 4 + (int(found[1]) if found else 0)
        while len(self._data) < size and self._more():
            pass
        answer, self._data = self._data[:size], self._data[size:]
        if answer.startswith(b"HTTP/1.1 100"):
            return answer + self.read()
        if b"\r\nconnection: close" in answer[:end]:
            self.close()
        return answer

    def _more(self) -> bool:
        assert self._socket is not None
        data = self._socket.recv(65536)
        self._data += data
        return bool(data)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


@contextmanager
def serving(broker: Broker, **options: Any) -> Iterator[tuple[WireServer, Client]]:
    with wire_server(broker, **options) as server:
        client = Client(server.port)
        try:
            yield server, client
        finally:
            client.close()


@pytest.fixture
def broker() -> Iterator[Broker]:
    broker = open_broker("memory://")
    for name in ("work", "work.fifo"):
        broker.create_queue(name)
    broker.create_queue("small")
    broker.set_queue("small", QueueSettings(max_message_bytes=1024))
    broker.create_queue("polled")
    broker.set_queue("polled", QueueSettings(receive_wait=1))
    yield broker
    broker.close()


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of what goes the long way."""
    taken: list[str] = []
    serve = App._serve

    async def noted(self: App, scope: Any, receive: Any, send: Any) -> None:
        taken.append(scope["path"])
        await serve(self, scope, receive, send)

    monkeypatch.setattr(App, "_serve", noted)
    return taken


_IDS = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_DATE = re.compile(rb"\r\ndate: [^\r]+")
_RECEIPT = re.compile(rb'"ReceiptHandle":"([^"]+)"')
_TIME = re.compile(rb'(Timestamp":")\d{13}"')


def play(broker: Broker) -> list[bytes]:
    """All answers to the table, without what is another each time."""
    found = []
    receipt = b"none"
    with serving(broker) as (server, client):
        for one in TABLE:
            client.write(one.bytes(receipt.decode()))
            answer = client.read()
            receipts = _RECEIPT.findall(answer)
            if receipts:
                receipt = receipts[-1]
            assert _DATE.search(answer)
            for pattern, text in ((_DATE, b""), (_IDS, b"ID"), (_RECEIPT, b"R"), (_TIME, rb"\1T")):
                answer = pattern.sub(text, answer)
            found.append(answer.replace(receipt, b"R").replace(str(server.port).encode(), b"PORT"))
    return found


def test_both_ways_answer_the_same(
    broker: Broker, long: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    late: list[object] = []
    go = Connection._go_the_long_way

    def noted(self: Connection, *args: Any) -> None:
        late.append(args)
        go(self, *args)

    monkeypatch.setattr(Connection, "_go_the_long_way", noted)
    quick = play(broker)
    assert len(long) == sum(not one.fast for one in TABLE)
    assert late  # some turn out not to be plain when they are looked at
    other = open_broker("memory://")
    for name in broker.queues():
        other.create_queue(name)
        other.set_queue(name, broker.settings(name))
    monkeypatch.setattr(Connection, "_may_be_plain", lambda self: False)
    long.clear()
    for asked, by_fast, by_long in zip(TABLE, quick, play(other), strict=True):
        assert by_fast == by_long, asked
    assert len(long) == len(TABLE)
    for name in broker.queues():
        one, two = broker.counts(name), other.counts(name)
        assert (one.visible, one.in_flight) == (two.visible, two.in_flight)
    other.close()


def test_answers_come_in_the_order_of_the_requests(broker: Broker, long: list[str]) -> None:
    asks = [send("a"), receive(), Ask("AmazonSQS.ListQueues", b"{}"), send("b"), send("", False)]
    with serving(broker) as (_, client):
        client.write(b"".join(one.bytes("") for one in asks * 3))
        answers = [client.read() for _ in range(len(asks) * 3)]
    kinds = [b"MessageId", b"Messages", b"QueueUrls", b"MessageId", b"MissingParameter"]
    for answer, kind in zip(answers, kinds * 3, strict=True):
        assert kind in answer
    assert broker.counts("work").visible + broker.counts("work").in_flight == 6


def test_a_poll_that_finds_nothing_waits_the_long_way(
    broker: Broker, long: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    parks = threading.Event()
    park = Waiting.park

    async def noted(self: Waiting, *args: Any) -> None:
        parks.set()
        await park(self, *args)

    monkeypatch.setattr(Waiting, "park", noted)
    with serving(broker) as (server, client):
        client.write(receive(WaitTimeSeconds=20).bytes("") + send("behind it").bytes(""))
        assert parks.wait(SECONDS)
        other = Client(server.port)
        other.write(send("x").bytes(""))
        assert other.read().startswith(b"HTTP/1.1 200")
        assert b'"Body":"x"' in client.read()
        assert b"MessageId" in client.read()
        other.close()
    assert len(long) == 2


def test_what_is_lent_to_a_client_that_has_gone_is_given_back(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = Connection._tell

    def gone(self: Connection, *args: Any) -> bool:
        self.transport.abort()
        return tell(self, *args)

    broker.send("work", [Message("1", "x")])
    with serving(broker) as (_, client):
        monkeypatch.setattr(Connection, "_tell", gone)
        client.write(receive().bytes(""))
        with suppress(ConnectionError):
            assert client.read() == b""
    assert broker.counts("work").visible == 1


def fail_to_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(disk_sync, "_to_disk", broken)


def play_on_a_broken_disk(
    path: Path, monkeypatch: pytest.MonkeyPatch, quick: bool
) -> tuple[list[bytes], list[str]]:
    """The answers to some requests, when what is committed cannot be synced, and what is stored."""
    with closing(open_broker(f"sqlite:///{path}")) as broker:
        broker.create_queue("work")
        broker.send("work", [Message(name, name) for name in ("there", "deleted")])
        receipts = [one.receipt for one in broker.receive("work", limit=2, visibility=0)]
        asks = [
            *(send("stored"), receive(MaxNumberOfMessages=10, VisibilityTimeout=0)),
            *(delete(receipts[1]), send("stored too"), send("x", queue=f"{BASE}gone")),
        ]
        answers = []
        with monkeypatch.context() as patched, serving(broker) as (_, client):
            patched.setattr(Pace, "quick", quick, raising=False)
            fail_to_sync(patched)
            for one in asks:
                client.write(one.bytes(""))
                answers.append(client.read())
        found = [one.body for one in broker.peek("work", limit=10)]
    for pattern, text in ((_DATE, b""), (_IDS, b"ID"), (_RECEIPT, b"R")):
        answers = [pattern.sub(text, one) for one in answers]
    return answers, found


@pytest.mark.parametrize("quick", [True, False])
def test_what_cannot_be_synced_fails_on_both_ways_and_is_stored_once(
    tmp_path: Path, long: list[str], monkeypatch: pytest.MonkeyPatch, quick: bool
) -> None:
    by_fast, stored = play_on_a_broken_disk(tmp_path / "fast.db", monkeypatch, quick)
    assert stored == ["there", "stored", "stored too"]
    assert len(long) == 1, "for the queue that is not there"
    status = [one.split(b" ", 2)[1] for one in by_fast]
    assert status == [b"500", b"200", b"200", b"500", b"400"]
    monkeypatch.setattr(Connection, "_may_be_plain", lambda self: False)
    assert play_on_a_broken_disk(tmp_path / "long.db", monkeypatch, quick) == (by_fast, stored)


def test_who_waits_for_no_disk_has_its_answer_beside_a_send_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one round, of which all is committed."""
    told: list[bytes | HttpResponse | None] = []

    def tell(answer: bytes | HttpResponse | None) -> bool:
        told.append(answer)
        return True

    async def ask(bodies: Mapping[str, Any]) -> None:
        """All in one turn of the loop."""
        clock = ManualClock()
        app = App({}, lambda *_: caller, clock=clock, new_request_id=lambda: "1", region=REGION)
        backend = Backend(broker, Waiting(broker), threads, "000000000000", REGION)
        fast = make_fast_way(app, backend, lambda: True)
        assert fast is not None
        for action, given in bodies.items():
            body = json.dumps({"QueueUrl": "work", **given}).encode()
            assert fast.begin(Plan(action, caller, REGION), body, tell)
        turned = asyncio.Event()
        asyncio.get_running_loop().call_soon(turned.set)
        await turned.wait()

    caller = Caller("000000000000", "")
    with closing(open_broker(f"sqlite:///{tmp_path}/broker.db")) as broker:
        broker.create_queue("work")
        broker.send("work", [Message("1", "deleted"), Message("2", "there")])
        (lent,) = broker.receive("work")
        fail_to_sync(monkeypatch)
        with ThreadPoolExecutor(1) as threads:
            asyncio.run(
                ask(
                    {
                        "SendMessage": {"MessageBody": "stored"},
                        "DeleteMessage": {"ReceiptHandle": lent.receipt},
                        "ReceiveMessage": {},
                    }
                )
            )
        sent, deleted, received = told
        assert isinstance(sent, HttpResponse)
        assert sent.status == 500
        assert deleted == b"{}"
        assert isinstance(received, bytes)
        assert b'"Body":"there"' in received
        assert [one.body for one in broker.peek("work", limit=10)] == ["there", "stored"]


def test_what_fails_alone_after_its_commit_is_not_sent_again(
    tmp_path: Path, long: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round that could not be had together: each does it by itself, in a thread."""
    with closing(open_broker(f"sqlite:///{tmp_path}/broker.db")) as broker:
        broker.create_queue("work")

        def full(*_: Any) -> Any:
            raise BrokerFileError("broker.db: the disk is full; nothing was stored")

        with monkeypatch.context() as patched, serving(broker) as (_, client):
            patched.setattr(broker, "gathered", full)
            fail_to_sync(patched)
            client.write(send("once").bytes(""))
            assert client.read().startswith(b"HTTP/1.1 500")
        assert [one.body for one in broker.peek("work", limit=10)] == ["once"]
    assert not long


def test_where_there_are_keys_nothing_is_plain(
    broker: Broker, long: list[str], tmp_path: Path
) -> None:
    keys = Keys.load(tmp_path / "keys.json")
    with serving(broker, keys=tmp_path / "keys.json") as (_, client):
        client.write(send("x").bytes(""))
        assert client.read().startswith(b"HTTP/1.1 200")
        keys.add("one", 0.0)
        for headers in ((), SIGNED):
            client.write(send("x", headers=headers).bytes(""))
            assert client.read().startswith(b"HTTP/1.1 403")
    assert len(long) == 2


def test_a_stop_lets_the_answer_come_first(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    tell = Connection._tell

    def stopped(self: Connection, *args: Any) -> bool:
        self.shutdown()
        return tell(self, *args)

    with serving(broker) as (_, client):
        monkeypatch.setattr(Connection, "_tell", stopped)
        client.write(send("x").bytes(""))
        answer = client.read()
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"\r\nconnection: close\r\n" in answer
