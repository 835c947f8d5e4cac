"""What a connection to the pages alone may send, and how many there may be."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from taskflow.broker import Broker
from taskflow.dashboard import dashboard_server
from taskflow.dashboard.dashboard_server import DashboardServer
from taskflow.server import connection
from taskflow.server.connection import MAX_HEAD

SECONDS = 10.0
HEAD = b"GET /taskflow.css HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture
def port(taskflow_broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(dashboard_server, "MOST", 2)
    server = DashboardServer(taskflow_broker, port=0)
    listens = threading.Event()
    startup = server._server.startup

    async def tell(sockets: list[socket.socket] | None = None) -> None:
        await startup(sockets)
        listens.set()

    monkeypatch.setattr(server._server, "startup", tell)
    running = threading.Thread(target=server.run)
    running.start()
    assert listens.wait(SECONDS)
    yield server.port
    server.stop()
    running.join()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), SECONDS)


def answer(one: socket.socket, request: bytes) -> bytes:
    try:
        one.sendall(request)
        return one.recv(65536)
    except ConnectionError:
        return b""


def test_no_more_connections_are_held_than_there_is_room_for(port: int) -> None:
    held = [connect(port) for _ in range(2)]
    for one in held:
        assert answer(one, HEAD + b"\r\n").startswith(b"HTTP/1.1 200 ")
    with connect(port) as third:
        assert answer(third, HEAD + b"\r\n") == b"", "closed unheard"
    for one in held:
        one.close()


def test_a_head_without_end_is_refused(port: int) -> None:
    with connect(port) as one:
        one.sendall(HEAD + b"X: " + b"x" * MAX_HEAD)
        assert b"longer than 65536 bytes" in one.recv(65536)


def test_half_a_request_is_not_waited_for(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SLOWEST", 0.05)
    with connect(port) as one:
        assert answer(one, HEAD) == b"", "closed unanswered"


@pytest.mark.parametrize("last", [b"", b"Connection: close\r\n"])
def test_who_reads_no_answer_is_not_held_for_ever(
    last: bytes, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place is another one's then. So many requests that their answers fill the buffers."""
    monkeypatch.setattr(connection, "SLOWEST", 0.05)
    gone = threading.Event()
    lost = connection.Connection.connection_lost

    def tell(self: connection.Connection, exc: Exception | None) -> None:
        lost(self, exc)
        gone.set()

    monkeypatch.setattr(connection.Connection, "connection_lost", tell)
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", port))
        with suppress(ConnectionError):
            one.sendall((HEAD + b"\r\n") * 2000 + HEAD + last + b"\r\n")
        assert gone.wait(SECONDS)
