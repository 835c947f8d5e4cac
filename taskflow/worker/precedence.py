"""Who sees to what is due receives nothing meanwhile, if others do."""

import os
import socket
from collections.abc import Callable, Collection

from taskflow.broker import Broker
from taskflow.errors import BrokerError

MUCH = 0.02  # seconds that a turn takes when more than a few are due
LONGEST = 2.0  # seconds of a turn in which nothing is received


class Precedence:
    """Whether a pool is to leave messages to others, since its ticker has much to do.

    All of a process share one interpreter: handlers would hold up what many wait for, and other
    processes run what is sent. One thread calls `begin` and `end`, another one `seconds`; `resume`
    is called when a turn ends in which something was left.
    """

    def __init__(self, broker: Broker, queues: Collection[str], resume: Callable[[], None]) -> None:
        self._broker = broker
        self._clock = broker.clock
        self._queues = frozenset(queues)
        self._resume = resume
        self._began: float | None = None
        self._others: bool | None = None  # of this turn: not asked yet
        self._left = False

    def begin(self) -> None:
        """A turn begins."""
        self._others = None
        self._began = self._clock.elapsed()

    def end(self) -> None:
        """It has ended."""
        self._began = None
        if self._left:
            self._left = False
            self._resume()

    def seconds(self) -> float:
        """For how long nothing is to be received, unless the turn ends before; 0 for not at all."""
        began = self._began
        if began is None or self._broker.economy.batch > 1:  # where calls cost, a turn is waiting
            return 0.0
        taken = self._clock.elapsed() - began
        if not MUCH <= taken < LONGEST:
            return 0.0
        if self._others is None:
            self._others = self._ask()
        if not self._others:
            return 0.0
        self._left = True  # before it is looked whether the turn has ended
        return 0.0 if self._began is None else LONGEST - taken

    def _ask(self) -> bool:
        """Whether another process receives from all these queues, and has room."""
        mine = socket.gethostname(), os.getpid()
        try:
            return any(
                (one.host, one.pid) != mine
                and not one.does
                and one.busy < one.slots
                and self._queues.issubset(one.queues)
                for one in self._broker.workers()
            )
        except BrokerError:  # whoever receives says more
            return False
