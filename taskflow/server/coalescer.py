"""Requests that come together are done together: one transaction, one fsync for all."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from taskflow.errors import LimitExceeded

Item = TypeVar("Item")
Found = TypeVar("Found")


class Coalescer(Generic[Item, Found]):
    """Gathers what requests want of the same queue while the last ones are being served.

    `verb(queue, items)` answers for each item, all or nothing. Used on one event loop. Whoever
    comes alone does not wait for others.
    """

    def __init__(self, verb: Callable[[str, list[Item]], Awaitable[Sequence[Found]]]) -> None:
        self._verb = verb
        self._waiting: dict[str, list[_Request[Item, Found]]] = {}
        self._busy: dict[str, asyncio.Task[None]] = {}

    async def do(self, queue: str, items: Sequence[Item]) -> Sequence[Found]:
        """What the verb answers for these items, or raises."""
        request = _Request[Item, Found](items)
        self._waiting.setdefault(queue, []).append(request)
        if queue not in self._busy:
            self._busy[queue] = asyncio.ensure_future(self._serve(queue))
        return await request.answer

    async def _serve(self, queue: str) -> None:
        try:
            while requests := self._waiting.pop(queue, []):
                await self._serve_all(queue, requests)
        finally:
            del self._busy[queue]

    async def _serve_all(self, queue: str, requests: "list[_Request[Item, Found]]") -> None:
        try:
            items = [item for request in requests for item in request.items]
            found = await self._verb(queue, items)
        except LimitExceeded as error:  # one of them asks too much: the others shall not suffer
            if len(requests) == 1:
                requests[0].fail(error)
            else:
                for request in requests:
                    await self._serve_all(queue, [request])
        except Exception as error:
            for request in requests:
                request.fail(error)
        else:
            first = 0
            for request in requests:
                last = first + len(request.items)
                request.succeed(found[first:last])
                first = last


class _Request(Generic[Item, Found]):
    """The items of one request, and its answer."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self.answer: asyncio.Future[Sequence[Found]] = asyncio.get_running_loop().create_future()

    def succeed(self, found: Sequence[Found]) -> None:
        if not self.answer.done():  # its request may have been cancelled
            self.answer.set_result(found)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
