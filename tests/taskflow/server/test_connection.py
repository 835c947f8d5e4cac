"""What a connection may send, byte by byte, and how many there may be."""

import socket
from collections.abc import Callable, Iterator

import pytest

from taskflow import open_broker
from taskflow.server import serving
from taskflow.server.connection import MAX_HEAD
from taskflow.server.serving import WireServer
from taskflow.testing import wire_server

SECONDS = 10.0
BODY = b"Action=ListQueues"
LINE = b"POST / HTTP/1.1\r\nConnection: close\r\n"
HOST = b"Host: localhost\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNK = b"%x\r\n%s\r\n" % (len(BODY), BODY)
END = b"0\r\n\r\n"
Ask = Callable[[bytes], bytes]


@pytest.fixture
def server() -> Iterator[WireServer]:
    broker = open_broker("memory://")
    broker.create_queue("work")
    with wire_server(broker) as running:
        yield running
    broker.close()


@pytest.fixture
def ask(server: WireServer) -> Ask:
    """Sends bytes, and answers all that comes back."""

    def ask(data: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", server.port), SECONDS) as connection:
            connection.sendall(data)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    return ask


def test_a_request_in_bytes_is_answered(ask: Ask) -> None:
    answer = ask(LINE + HOST + FORM + LENGTH + b"\r\n" + BODY)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"/000000000000/work</QueueUrl>" in answer


@pytest.mark.parametrize(
    ("head", "body", "why"),
    [
        (HOST + b"Host: other\r\n" + LENGTH, BODY, b"one Host header"),
        (LENGTH, BODY, b"one Host header"),
        (HOST + b"Transfer-Encoding: gzip, chunked\r\n", CHUNK + END, b"understood is chunked"),
    ],
)
def test_a_head_that_can_be_read_in_two_ways_is_refused(
    ask: Ask, head: bytes, body: bytes, why: bytes
) -> None:
    answer = ask(LINE + FORM + head + b"\r\n" + body)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert why in answer


def test_a_head_without_end_is_refused(ask: Ask) -> None:
    answer = ask(LINE + HOST + b"X: " + b"x" * MAX_HEAD)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"longer than 65536 bytes" in answer


@pytest.mark.parametrize(
    "trailer",
    [
        b"X-Amz-Target: AmazonSQS.PurgeQueue\r\n",
        b"Content-Type: application/x-amz-json-1.0\r\n",
        b"Host: other\r\n",
        b"Authorization: AWS4-HMAC-SHA256 x\r\n",
    ],
)
def test_what_comes_behind_a_body_is_no_header(ask: Ask, trailer: bytes) -> None:
    head = LINE + HOST + FORM + b"Transfer-Encoding: chunked\r\n\r\n"
    answer = ask(head + CHUNK + b"0\r\n" + trailer + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"<ListQueuesResponse" in answer


def test_no_more_connections_are_held_than_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving, "most_connections", lambda: 2)
    health = b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n"
    broker = open_broker("memory://")
    with wire_server(broker) as server:
        address = ("127.0.0.1", server.port)
        held = [socket.create_connection(address, SECONDS) for _ in range(2)]
        for one in held:
            one.sendall(health)
            assert one.recv(65536).startswith(b"HTTP/1.1 200 ")
        with socket.create_connection(address, SECONDS) as third:
            assert _answer(third, health) == b"", "closed unheard"
        held[0].sendall(health.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert b"".join(iter(lambda: held[0].recv(65536), b"")), "those inside are served"
        with socket.create_connection(address, SECONDS) as fourth:
            fourth.sendall(health)
            assert fourth.recv(65536).startswith(b"HTTP/1.1 200 "), "there is room again"
        for one in held:
            one.close()
    broker.close()


def _answer(connection: socket.socket, request: bytes) -> bytes:
    try:
        connection.sendall(request)
        return connection.recv(65536)
    except ConnectionError:
        return b""
