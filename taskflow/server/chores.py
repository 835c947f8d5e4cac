"""What the server does that nobody asks for: the broker's upkeep, from time to time."""

import logging

from taskflow.errors import BrokerError
from taskflow.server.backend import Backend

log = logging.getLogger("taskflow.server")

EVERY = 10.0  # seconds
STEP = 1000


class Chores:
    """Bounded steps, so that no request waits long for the store."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                while await self._backend.run(self._backend.broker.upkeep, STEP):
                    pass
            except BrokerError as error:
                log.error("the upkeep failed, will try again: %s", error)
            self._backend.waiting.rest()
            await self._backend.waiting.pause(EVERY)
