"""uvicorn, as the wire server needs it: it tells when it listens, and stops without waiting."""

import asyncio
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn


class ListeningServer(uvicorn.Server):
    """Says when it listens, and lets parked polls answer as soon as it is told to stop: uvicorn
    waits for requests before it ends the application."""

    def __init__(
        self,
        config: uvicorn.Config,
        listens: Callable[[], None],
        close_polls: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._listens = listens
        self._close_polls = close_polls
        self.loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._listens()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A second SIGINT does not wait for running requests. (uvicorn's own would send itself
        the signal again in the end: stopping on SIGTERM is no failure.)"""
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._close_polls)
