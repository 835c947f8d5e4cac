"""Where long polls of HTTP clients wait: futures on the event loop, woken by rings and by time.

A parked poll costs a future and an entry in a heap. A ring, or the time when something of its
queue is due, wakes the poll that waits longest; once it has got something it wakes the next, so a
hundred polls do not all look for one message.
"""

import asyncio
import itertools
import math
from collections import defaultdict, deque
from collections.abc import Collection
from functools import partial

from taskflow.broker.attention import Attention
from taskflow.broker.traffic import Traffic
from taskflow.server.timekeeper import Timekeeper

LOOK_AGAIN = 5.0  # seconds, for one poll of each queue: a ring of another process may be lost


class Waiting:
    """The parked polls of one server. Used on its event loop only, but for `_heard`.

    A ring in another thread notes a number that was never there before (one step, no lock), then
    looks for polls; a poll parks, then looks at the number. So one of them sees the other.
    """

    def __init__(self, broker: Traffic) -> None:
        self._clock = broker.clock
        self._broker = broker
        self._parked: dict[str, deque[asyncio.Future[None]]] = defaultdict(deque)
        self._rings: dict[str, int] = {}
        self._numbers = itertools.count(1)
        self._alarms: dict[str, float] = {}  # when a queue that is waited for has something due
        self._loop: asyncio.AbstractEventLoop | None = None
        self._time: Timekeeper | None = None
        self._attention = broker if isinstance(broker, Attention) else None
        self._away = False
        self._wanted = False
        self.closing = False

    def start(self) -> None:
        """Listen to the broker from now on."""
        self._loop = asyncio.get_running_loop()
        self._time = Timekeeper(self._clock, self._loop)
        self._broker.watch(self._heard)

    def _heard(self, queues: Collection[str]) -> None:
        """In any thread. The loop is only woken for a poll: most rings are heard by nobody."""
        if self._loop is None or self._loop.is_closed():
            return
        for queue in queues:
            self._rings[queue] = next(self._numbers)
            if queue in self._parked:
                self._loop.call_soon_threadsafe(self.wake_next, queue)

    def attend(self) -> bool:
        """Somebody waits for what other processes do. True when nobody has heard them so far, and
        they are heard from now on: look once more, then."""
        self._wanted = True
        if self._away and self._attention is not None:
            self._away = False
            self._attention.attend()
            return True
        return False

    def rest(self) -> None:
        """Called from time to time: when nobody has waited since the last time, other processes
        are not heard until somebody does. Each of their sends would wake this one."""
        if self._attention is not None and not (self._wanted or self._parked or self._away):
            self._away = True
            self._attention.look_away()
        self._wanted = False

    def rung(self, queue: str) -> int:
        """Another number after each ring of the queue; read it before looking into the queue."""
        return self._rings.get(queue, 0)

    def wake_next(self, queue: str) -> None:
        """Let the poll that waits longest on a queue look again."""
        parked = self._parked.get(queue)
        while parked:
            if _settle(parked.popleft()):
                return

    async def park(
        self, queue: str, rung: int, due: float | None, until: float, gone: asyncio.Event
    ) -> None:
        """Wait until the queue rings, something of it is due, `until`, or the client has gone.
        It may end for nothing."""
        if self.closing or self.attend():
            return
        assert self._time is not None
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        parked = self._parked[queue]
        parked.append(future)
        if rung != self.rung(queue):  # looked at last: from here on a ring finds the poll parked
            self._leave(queue, parked, future)
            return
        self._time.call_at(until, partial(_settle, future))
        self._arm(queue, due)
        left = asyncio.ensure_future(gone.wait())
        try:
            await asyncio.wait((future, left), return_when=asyncio.FIRST_COMPLETED)
        finally:
            left.cancel()
            woken = future.done()
            future.cancel()
            self._leave(queue, parked, future)
            if woken and gone.is_set():
                self.wake_next(queue)  # it was somebody else's turn

    def _leave(
        self, queue: str, parked: deque[asyncio.Future[None]], future: asyncio.Future[None]
    ) -> None:
        if future in parked:
            parked.remove(future)
        if parked:
            self._arm(queue)
        elif self._parked.get(queue) is parked:
            del self._parked[queue]

    def _arm(self, queue: str, due: float | None = None) -> None:
        """Wake one poll of the queue at `due`, and before long in any case."""
        assert self._time is not None
        when = self._clock.now() + LOOK_AGAIN
        if due is not None:
            when = min(when, due)
        if when < self._alarms.get(queue, math.inf):
            self._alarms[queue] = when
            self._time.call_at(when, partial(self._sound, queue, when))

    def _sound(self, queue: str, due: float) -> None:
        if self._alarms.get(queue) == due:  # else one for an earlier time has taken its place
            del self._alarms[queue]
        self.wake_next(queue)

    @staticmethod
    async def catch_up() -> None:
        """Let the loop hear that a client has hung up: from its socket, then its connection, then
        who listens, a turn each."""
        loop = asyncio.get_running_loop()
        for _ in range(3):
            turn = loop.create_future()
            loop.call_soon(_settle, turn)
            await turn

    async def pause(self, seconds: float) -> None:
        """Let that much time of the broker's clock pass."""
        assert self._time is not None
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._time.call_at(self._clock.now() + seconds, partial(_settle, future))
        await future

    def count(self) -> int:
        """How many polls are parked."""
        return sum(len(parked) for parked in self._parked.values())

    def close(self) -> None:
        """Let every parked poll answer now, and none park again."""
        self.closing = True
        for parked in list(self._parked.values()):
            for future in parked:
                _settle(future)
        if self._time is not None:
            self._time.close()


def _settle(future: asyncio.Future[None]) -> bool:
    """Wake who waits for it; False when it is awake already."""
    if future.done():
        return False
    future.set_result(None)
    return True
