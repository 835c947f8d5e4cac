"""A connection that ends when its client sends too large a head, or takes too long to send.

uvicorn limits neither: without this a client could fill the memory with headers, or hold a
connection open with half a request for ever.
"""

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 64 * 1024  # bytes
FIRST = 10.0  # seconds for the first byte of a new connection
SLOWEST = 60.0  # seconds for a whole request to arrive


class Connection(HttpToolsProtocol):
    """uvicorn's connection with a limit on heads, a deadline for requests, and a limit on how many
    there are: a process without descriptors accepts nobody, and says so without end."""

    most = 1000
    _open: ClassVar[set["Connection"]] = set()

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._head = 0
        self._in_body = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self._open) >= self.most:
            transport.abort()
            return
        self._open.add(self)
        self._begin(FIRST)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        self._open.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._head == 0 and not self._in_body:  # a request begins
            self._end()
            self._begin(SLOWEST)
        if not self._in_body:
            self._head += len(data)
        super().data_received(data)
        if not self._in_body and self._head > MAX_HEAD and not self.transport.is_closing():
            self._end()
            self.send_400_response(f"The head of the request is longer than {MAX_HEAD} bytes.")

    def on_headers_complete(self) -> None:
        self._in_body = True
        super().on_headers_complete()
        self.headers = []  # what comes behind a body is no header of the request: nobody reads it

    def on_message_complete(self) -> None:
        self._in_body = False
        self._end()
        super().on_message_complete()

    def _begin(self, seconds: float) -> None:
        self._head = 0
        self._deadline = self.loop.call_later(seconds, self._give_up)

    def _end(self) -> None:
        self._head = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        self.transport.close()
