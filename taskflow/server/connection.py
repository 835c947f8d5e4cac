"""A connection that ends when its client sends too large a head, or takes too long to send, and
that takes plain requests the fast way.

uvicorn limits neither: without this a client could fill the memory with headers, or hold a
connection open for ever, with half a request or by reading no answer.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from taskflow.server.fast_way import FastWay, Plan
from taskflow.server.json_dialect import CONTENT_TYPE
from taskflow.server.protocol import HttpResponse

MAX_HEAD = 64 * 1024  # bytes
FIRST = 10.0  # seconds for the first byte of a new connection
SLOWEST = 60.0  # seconds for a whole request to arrive, and for what waits to be taken


class Connection(HttpToolsProtocol):
    """uvicorn's connection with a limit on heads, a deadline for requests, and a limit on how many
    there are: a process without descriptors accepts nobody, and says so without end."""

    most = 1000
    fast: FastWay | None = None
    """Of the server that this class of connections is for (`connections_of`)."""
    _open: ClassVar[set["Connection"]] = set()

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._head = 0
        self._in_body = False
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._idle_since: float | None = None
        """When the last answer was told, by the loop's time; None while another is asked for."""
        self._fast = self.fast
        self._plan: Plan | None = None
        self._pending = _Pending()
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self._open) >= self.most:
            transport.abort()
            return
        self._open.add(self)
        self._begin(FIRST)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        self._is_read()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
        self._open.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        begins = self._head == 0 and not self._in_body
        if not self._in_body:
            self._head += len(data)
        super().data_received(data)
        if begins and (self._head or self._in_body):  # and there is more to come of it
            self._end_wait()
            self._deadline = self.loop.call_later(SLOWEST, self._give_up)
        if not self._in_body and self._head > MAX_HEAD and not self.transport.is_closing():
            self._end()
            self.send_400_response(f"The head of the request is longer than {MAX_HEAD} bytes.")
            self._await_reader()

    def on_headers_complete(self) -> None:
        self._in_body = True
        if self._fast is not None and self._may_be_plain():
            self._plan = self._fast.accept(self.headers)
        if self._plan is None:
            super().on_headers_complete()
        else:
            self._pending = _Pending()
            self.cycle = self._pending  # type: ignore[assignment]  # as far as uvicorn looks at it
        self.headers = []  # what comes behind a body is no header of the request: nobody reads it

    def on_body(self, body: bytes) -> None:
        if self._plan is None:
            super().on_body(body)
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        self._end()
        if self._plan is None:
            super().on_message_complete()
            return
        plan, self._plan = self._plan, None
        body, self._body = b"".join(self._body), []
        assert self._fast is not None
        tell = partial(self._tell, self._pending, self.scope, body)
        if not self._fast.begin(plan, body, tell):
            tell(None)

    # ---- who reads no answer ----------------------------------------------------------------
    def pause_writing(self) -> None:
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._is_read()

    def on_response_complete(self) -> None:
        begins = bool(self.pipeline)  # the next one, which came behind it
        if self.timeout_keep_alive_task is None or begins or self.transport.is_closing():
            super().on_response_complete()
        else:  # as that, but for the timer
            self.server_state.total_requests += 1
            self.flow.resume_reading()
        self._idle_since = None if begins else self.loop.time()
        if self.transport.is_closing():
            self._await_reader()

    # ---- who asks no more -------------------------------------------------------------------
    def _unset_keepalive_if_required(self) -> None:
        """Something has come. The timer stays, and looks when it is over: another one for each
        request would cost a thirtieth of that."""
        self._idle_since = None

    def timeout_keep_alive_handler(self) -> None:
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return  # its answer begins another one
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(
                left, self.timeout_keep_alive_handler
            )
            return
        super().timeout_keep_alive_handler()
        self._await_reader()

    def _await_reader(self) -> None:
        """A transport that is closed ends when all is sent: with a client that takes nothing it
        never would."""
        if self._unread is None and self in self._open:
            self._unread = self.loop.call_later(SLOWEST, self.transport.abort)

    def _is_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    # ---- the fast way -----------------------------------------------------------------------
    def _may_be_plain(self) -> bool:
        parser = self.parser
        return (
            self.url == b"/"
            and parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and not self.flow.write_paused
            and (self.cycle is None or self.cycle.response_complete)  # else it waits its turn
        )

    def _tell(
        self, pending: "_Pending", scope: Any, body: bytes, answer: bytes | HttpResponse | None
    ) -> bool:
        """Answer 200 with this, or with the failure it is; go the long way with the request when
        there is no answer."""
        if self.transport.is_closing():
            pending.response_complete = True
            return False
        if answer is None:
            self._go_the_long_way(pending, scope, body)
            return True
        if isinstance(answer, HttpResponse):
            status, headers, answer = answer.status, _write(answer.headers), answer.body
        else:
            assert self._fast is not None
            status, about = 200, (self._fast.request_id(), CONTENT_TYPE.encode())
            headers = b"x-amzn-requestid: %b\r\ncontent-type: %b\r\n" % about
        lines = [STATUS_LINE[status]]
        for name, text in self.server_state.default_headers:
            lines += (name, b": ", text, b"\r\n")
        lines += (headers, b"content-length: %d\r\n" % len(answer))
        lines += (b"\r\n" if pending.keep_alive else b"connection: close\r\n\r\n", answer)
        self.transport.write(b"".join(lines))
        pending.response_complete = True
        if not pending.keep_alive:
            self.transport.close()
        self.on_response_complete()
        return True

    def _go_the_long_way(self, pending: "_Pending", scope: Any, body: bytes) -> None:
        """As if the request had just come whole. Others may have come behind it meanwhile, and may
        be half read: what uvicorn keeps of those is as before."""
        kept = self.cycle, self.parser, self.url, self.headers, self.scope
        self.cycle, self.parser = None, _Parsed()  # type: ignore[assignment]  # as far as it asks
        self.url, self.headers, self.scope = b"/", scope["headers"], scope
        self.expect_100_continue = False
        super().on_headers_complete()
        super().on_body(body)
        super().on_message_complete()
        cycle = self.cycle
        cycle.keep_alive = pending.keep_alive
        pending.response_complete = True
        self.cycle, self.parser, self.url, self.headers, self.scope = kept
        if self.cycle is pending:  # type: ignore[comparison-overlap]  # as above
            self.cycle = cycle

    def _begin(self, seconds: float) -> None:
        self._head = 0
        self._deadline = self.loop.call_later(seconds, self._give_up)

    def _end(self) -> None:
        self._head = 0
        self._end_wait()

    def _end_wait(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        self.transport.close()
        self._await_reader()


def connections_of(fast: FastWay | None) -> type[Connection]:
    """The connections of one server."""
    return type("Connection", (Connection,), {"fast": fast})


def _write(headers: Sequence[tuple[str, str]]) -> bytes:
    return "".join(f"{name}: {text}\r\n" for name, text in headers).encode("latin-1")


class _Pending:
    """Stands where uvicorn has the request and its answer, until that is known: what comes behind
    it waits, and who stops the server leaves it time."""

    def __init__(self) -> None:
        self.response_complete = False
        self.keep_alive = True
        self.disconnected = False
        self.message_event = _NOBODY_WAITS


class _NobodyWaits:
    def set(self) -> None:
        """Nobody waits for the rest of the body."""


_NOBODY_WAITS = _NobodyWaits()


class _Parsed:
    """What the parser has said of each request that was to be plain."""

    def get_http_version(self) -> str:
        return "1.1"

    def get_method(self) -> bytes:
        return b"POST"

    def should_keep_alive(self) -> bool:
        return True

    def should_upgrade(self) -> bool:
        return False
