"""The dashboard as an ASGI application."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import msgspec

from taskflow import forking
from taskflow.dashboard.answer import Answer
from taskflow.dashboard.asked import Asked
from taskflow.dashboard.site import Site
from taskflow.dashboard.visitor_rights import Who
from taskflow.dashboard.wsgi_face import MOST_BODY, below, check_prefix

THREADS = 4
"""Pages that are made at once."""

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
AsgiApp = Callable[[Event, Receive, Send], Awaitable[None]]


class AsgiFace:
    """An ASGI application of a site. `prefix` and `around` are as in `WsgiFace`; `root_path`, as
    routers set it, counts too. Pages are made in threads, since they may wait for the broker."""

    def __init__(self, site: Site, prefix: str = "", around: AsgiApp | None = None) -> None:
        self._site = site
        self._prefix = check_prefix(prefix)
        self._around = around
        self._threads: Executor | None
        forking.anew(self, _threads=lambda: None)

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        root = scope.get("root_path", "").rstrip("/")
        whole = scope["path"]
        # Some routers leave the root path in the path, some take it away.
        inner = below(whole, root) if root else whole
        path = below(whole if inner is None else inner, self._prefix)
        if path is None and self._around is not None:
            await self._around(scope, receive, send)
            return
        if path is None:
            await _answer(send, 404, (("content-type", "text/plain"),), b"Not found\n")
            return
        asked = Asked(
            method=scope["method"],
            path=path,
            prefix=root + self._prefix,
            query=scope.get("query_string", b"").decode("latin-1"),
            headers={
                name.decode("latin-1").lower(): value.decode("latin-1")
                for name, value in scope["headers"]
            },
            peer=(scope.get("client") or ("",))[0],
            environ=scope,
        )
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, "taskflow-dashboard")
        loop = asyncio.get_running_loop()
        who: Who | None = None
        if asked.has_body():
            found = await loop.run_in_executor(self._threads, self._site.let_in, asked)
            if isinstance(found, Answer):
                await _answer(send, found.status, found.headers, found.body)
                return
            who = found
        body = await _read(receive)
        if body is None:
            await _answer(send, 413, (), b"")
            return
        asked = msgspec.structs.replace(asked, body=body)
        answer = await loop.run_in_executor(self._threads, self._site.answer, asked, who)
        text = b"" if scope["method"] == "HEAD" else answer.body
        length = (("content-length", str(len(answer.body))),)
        await _answer(send, answer.status, (*answer.headers, *length), text)

    async def _other(self, scope: Event, receive: Receive, send: Send) -> None:
        """What is no request: the application around it has it."""
        if self._around is not None:
            await self._around(scope, receive, send)
        elif scope["type"] == "lifespan":
            for phase in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{phase}.complete"})
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})


async def _read(receive: Receive) -> bytes | None:
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        event = await receive()
        if event["type"] != "http.request":
            return None
        chunks.append(event.get("body", b""))
        size += len(chunks[-1])
        if size > MOST_BODY:
            return None
        more = event.get("more_body", False)
    return b"".join(chunks)


async def _answer(
    send: Send, status: int, headers: tuple[tuple[str, str], ...], body: bytes
) -> None:
    head = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
