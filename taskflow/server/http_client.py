"""How the URL of a subscription is called: one POST over a connection of its own."""

import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPSConnection
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from taskflow.server.targets import find_target


class Client(Protocol):
    """How a URL is called."""

    def post(self, url: str, headers: Mapping[str, str], body: bytes, timeout: float) -> int:
        """The status of the answer. Raises OSError or HTTPException when there is none."""
        ...


class HttpClient:
    """Posts over a new connection each time, and follows no redirects. Thread-safe.

    `local`: whether URLs may be of this machine and its links; asked before each.
    """

    def __init__(self, local: Callable[[], bool] = lambda: True) -> None:
        self._local = local

    def post(self, url: str, headers: Mapping[str, str], body: bytes, timeout: float) -> int:
        """As in `Client`; `timeout` is for the whole exchange. A user and password in the URL
        become basic authentication."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        # The address is looked up here, so that the one that was looked at is the one called.
        address = find_target(host, port, self._local())
        raw = socket.create_connection((address, port), timeout)
        with raw, raw.dup() as held:  # TLS takes `raw` over: it could not be cut by that
            ender = threading.Timer(timeout, _cut, [held])
            ender.daemon = True
            ender.start()
            try:
                return self._exchange(raw, parts, host, headers, body)
            finally:
                ender.cancel()

    @staticmethod
    def _exchange(
        raw: socket.socket,
        parts: SplitResult,
        host: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> int:
        connection = HTTPConnection(host, parts.port)
        connection.sock = raw
        if parts.scheme == "https":
            connection = HTTPSConnection(host, parts.port)
            context = ssl.create_default_context()
            connection.sock = context.wrap_socket(raw, server_hostname=host)
        if parts.username is not None:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            basic = b64encode(user.encode()).decode()
            headers = {**headers, "Authorization": f"Basic {basic}"}
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            connection.request("POST", path, body, dict(headers))
            return connection.getresponse().status
        finally:
            connection.close()


def _cut(held: socket.socket) -> None:
    """End an exchange that takes too long, whatever it is waiting for."""
    with suppress(OSError):
        held.shutdown(socket.SHUT_RDWR)
