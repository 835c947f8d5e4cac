"""A proxy before the emulator: it delays each request and counts them by action, as AWS bills."""

import asyncio
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

CHUNK = 64 * 1024  # bytes of payload that AWS bills as one request
_ACTION = re.compile(rb"(?:^|&)Action=([A-Za-z]+)")
_SENT = re.compile(rb'"ReceiptHandle"|ReceiptHandle=')
DELETES = ("sqs:DeleteMessage", "sqs:DeleteMessageBatch")


@dataclass
class Tally:
    """What passed since the last reset. Actions are `sqs:SendMessage`; `billed` counts a request
    once per 64 KiB of the larger of its body and its answer."""

    requests: Counter[str] = field(default_factory=Counter)
    billed: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)  # by status, when not 200
    deleted: int = 0
    begun: list[tuple[float, str]] = field(default_factory=list)


class Proxy:
    """Listens on a free port from entry to exit of the block, on a thread of its own.

    `delay` is in seconds, once per request, before it is passed on.
    """

    def __init__(self, upstream: int, delay: float) -> None:
        self._upstream = upstream
        self._delay = delay
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.tally = Tally()
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        opened = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**22), self._loop
        )
        self._server = opened.result()
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def reset(self) -> None:
        """Count from nothing."""
        with self._changed:
            self.tally = Tally()

    def wait_for_deletes(self, count: int, seconds: float) -> bool:
        """Whether so many messages were deleted since the reset, within the time."""
        with self._changed:
            return self._changed.wait_for(lambda: self.tally.deleted >= count, seconds)

    # ---- one connection ---------------------------------------------------------------------
    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(
            "127.0.0.1", self._upstream, limit=2**22
        )
        try:
            while True:
                await self._pass_on(reader, writer, up_reader, up_writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # one side has left, or the proxy ends
        finally:
            writer.close()
            up_writer.close()

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
    ) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        headers = _headers(head)
        if headers.pop(b"expect", None):
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            head = re.sub(rb"(?i)\r\nexpect:[^\r]*", b"", head)
        body = await _read_body(reader, headers)
        action = _action(headers, body)
        with self._changed:
            self.tally.requests[action] += 1
            self.tally.begun.append((time.monotonic(), action))
        if self._delay:
            await asyncio.sleep(self._delay)  # noqa: TID251  # the delay is what is measured
        up_writer.write(head + body)
        answer_head = await up_reader.readuntil(b"\r\n\r\n")
        answer = await _read_body(up_reader, _headers(answer_head))
        status = answer_head.split(b" ", 2)[1].decode()
        with self._changed:
            self.tally.billed[action] += max(1, -(-max(len(body), len(answer)) // CHUNK))
            if status != "200":
                self.tally.answered[f"{action} {status}"] += 1
            elif action in DELETES:
                self.tally.deleted += len(_SENT.findall(body))
                self._changed.notify_all()
        writer.write(answer_head + answer)
        await writer.drain()


def _headers(head: bytes) -> dict[bytes, bytes]:
    lines = head.split(b"\r\n")[1:]
    pairs = (line.partition(b":") for line in lines if line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _read_body(reader: asyncio.StreamReader, headers: dict[bytes, bytes]) -> bytes:
    """As it travels: chunks stay chunks."""
    if headers.get(b"transfer-encoding", b"").lower() != b"chunked":
        return await reader.readexactly(int(headers.get(b"content-length", b"0")))
    parts = []
    while True:
        size = await reader.readuntil(b"\r\n")
        parts += [size, await reader.readexactly(int(size, 16) + 2)]
        if int(size, 16) == 0:
            return b"".join(parts)


def _action(headers: dict[bytes, bytes], body: bytes) -> str:
    """By the JSON protocol's header, or by the query protocol's parameter."""
    if target := headers.get(b"x-amz-target"):
        service, _, name = target.decode().partition(".")
        return f"{service.removeprefix('Amazon').lower()}:{name}"
    found = _ACTION.search(body)
    name = found[1].decode() if found else "unknown"
    sns = b"/sns/" in headers.get(b"authorization", b"")
    return f"{'sns' if sns else 'sqs'}:{name}"
