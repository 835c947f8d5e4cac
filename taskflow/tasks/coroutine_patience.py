"""How long a coroutine that waits keeps the thread that it waits in."""

import asyncio
import threading
from collections.abc import Callable

CROWD = 128  # that wait: from then on they take turns
TURN = 2.0  # seconds of a turn, at most
ROUND = 2560.0  # seconds of all turns together: ten of each thread, if there are 256


class Patience:
    """Of a coroutine of this loop; `wanted` tells how many wait. Thread-safe."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wanted: Callable[[], int]) -> None:
        self._loop = loop
        self._wanted = wanted
        self._given_up = threading.Event()

    def give_up(self) -> None:
        """Nobody waits for the answer any more."""
        self._given_up.set()

    def has_ended(self) -> bool:
        """Whether nobody waits any more, or nobody can: the loop was closed."""
        return self._given_up.is_set() or self._loop.is_closed()

    def look(self, most: float) -> float:
        """For how long (seconds) to wait now, of so many."""
        wanted = self._wanted()
        return most if wanted <= CROWD else min(most, TURN, ROUND / wanted)

    @property
    def is_over(self) -> bool:
        """Whether it is another's turn."""
        return self._wanted() > CROWD
