"""Whether the client of a request has hung up while it waits."""

import asyncio
from typing import Literal

from taskflow.server.protocol import Receive


class Hangup(asyncio.Event):
    """Set when the client has hung up. Listens from the first `wait` on: only who waits asks, and
    a task for every request would cost more than what most of them do."""

    def __init__(self, receive: Receive) -> None:
        super().__init__()
        self._receive = receive
        self._listener: asyncio.Task[None] | None = None
        self._answered = False

    async def wait(self) -> Literal[True]:
        if self._listener is None and not self._answered:
            self._listener = asyncio.ensure_future(self._listen())
        return await super().wait()

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.set()

    async def stop_listening(self) -> None:
        self._answered = True
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
