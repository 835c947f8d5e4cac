"""Long polls of SQS on threads of their own, and the receivers that wait for them.

A poll that AWS holds cannot be called off. So a receiver that stops leaves it behind: the next
receive of the queue takes what it brings. When nobody comes within HOLD seconds, the messages are
given back.
"""

import logging
import math
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from taskflow import forking
from taskflow.brokers.aws.pauses import SEEN, Pauses
from taskflow.clock import Clock
from taskflow.condition import Condition
from taskflow.errors import BrokerError
from taskflow.limits import MAX_RECEIVE_WAIT
from taskflow.message import Delivery
from taskflow.uninterrupted import uninterrupted

log = logging.getLogger("taskflow.aws")

MAX_MESSAGES = 10
HOLD = 1.0  # seconds for which what a poll brought waits for a receiver
LATE = 2.0  # seconds for which a receiver waits past its time for a poll that ends about then


class Ask(NamedTuple):
    """What is asked of a queue besides how many."""

    queue: str
    visibility: float | None
    attempt: str | None


Fetch = Callable[[Ask, int, int], list[Delivery]]
GiveBack = Callable[[Sequence[Delivery]], object]


class Polls:
    """Thread-safe. `fetch(ask, limit, seconds)` is one ReceiveMessage."""

    def __init__(self, clock: Clock, pauses: Pauses, fetch: Fetch, give_back: GiveBack) -> None:
        self._clock = clock
        self._pauses = pauses
        self._fetch = fetch
        self._give_back = give_back
        self._changed: Condition
        self._ends: dict[Ask, list[float]]  # of the polls AWS holds
        self._waiting: dict[Ask, int]  # receivers
        self._inbox: dict[Ask, list[Delivery]]
        forking.anew(
            self,
            _changed=Condition,
            _ends=partial(defaultdict, list),
            _waiting=partial(defaultdict, int),
            _inbox=partial(defaultdict, list),
        )
        self._errors: dict[Ask, BrokerError] = {}
        self._closed = False

    # ---- looking ----------------------------------------------------------------------------
    def left_over(self, asks: Sequence[Ask], limit: int) -> list[Delivery]:
        """What polls that were left behind have brought for these."""
        with self._changed:
            return self._collect(asks, limit)

    def _collect(self, asks: Sequence[Ask], limit: int) -> list[Delivery]:
        found: list[Delivery] = []
        now = self._clock.now()
        for ask in asks:
            if ask.queue in self._pauses or not (box := self._inbox.get(ask)):
                continue
            taken, box[:] = box[: limit - len(found)], box[limit - len(found) :]
            found += [one for one in taken if one.visible_at > now]
        if found:
            self._changed.notify_all()
        return found

    # ---- waiting ----------------------------------------------------------------------------
    @uninterrupted
    def wait(
        self, asks: Sequence[Ask], limit: int, seconds: float, stop: Callable[[], bool] | None
    ) -> list[Delivery]:
        """Wait for messages of any of these queues. Raises what a poll raised."""
        deadline = self._clock.now() + seconds
        begun: set[Ask] = set()
        with self._changed:
            self._count(asks, 1)
        try:
            while True:
                self._pauses.refresh()
                with self._changed:
                    if self._closed or (stop is not None and stop()):
                        return []
                    if found := self._collect(asks, limit):
                        return found
                    for ask in asks:
                        if (error := self._errors.pop(ask, None)) is not None:
                            raise error
                    until = self._until(asks, deadline)
                    now = self._clock.now()
                    if now >= until:
                        return []
                    if now < deadline:
                        self._begin(asks, limit, deadline - now, begun)
                    self._clock.wait(self._changed, min(until - now, self._patience(asks)))
        finally:
            with self._changed:
                self._count(asks, -1)

    def _patience(self, asks: Sequence[Ask]) -> float:
        """How long to wait before looking whether a queue was resumed: others tell nobody."""
        paused = self._pauses.remote and any(ask.queue in self._pauses for ask in asks)
        return SEEN if paused else float("inf")

    def _count(self, asks: Sequence[Ask], step: int) -> None:
        for ask in asks:
            self._waiting[ask] += step
            if not self._waiting[ask]:
                del self._waiting[ask]
        if step < 0:
            self._changed.notify_all()

    def _until(self, asks: Sequence[Ask], deadline: float) -> float:
        """How long to wait: a poll that ends with this receiver's time may be a little late."""
        ends = [end for ask in asks for end in self._ends.get(ask, ())]
        soon = any(abs(end - deadline) < LATE / 4 for end in ends)
        return deadline + LATE if soon else deadline

    def _begin(self, asks: Sequence[Ask], limit: int, left: float, begun: set[Ask]) -> None:
        """See that AWS holds a poll for each receiver of each queue."""
        for ask in asks:
            seconds = min(int(MAX_RECEIVE_WAIT), round(left))
            if ask not in begun and left < 1:
                seconds = math.ceil(left)
            if ask.queue in self._pauses or seconds < 1:
                continue
            if len(self._ends.get(ask, ())) < self._waiting[ask]:
                begun.add(ask)
                end = self._clock.now() + seconds
                self._ends[ask].append(end)
                threading.Thread(
                    target=self._poll,
                    args=(ask, min(limit, MAX_MESSAGES), seconds, end),
                    name=f"taskflow-poll-{ask.queue}",
                    daemon=True,
                ).start()

    def _poll(self, ask: Ask, limit: int, seconds: int, end: float) -> None:
        found: list[Delivery] = []
        error: BrokerError | None = None
        try:
            found = self._fetch(ask, limit, seconds)
        except BrokerError as caught:
            error = caught
        except Exception as caught:
            log.exception("a poll of queue %s failed", ask.queue)
            error = BrokerError(f"a poll of queue {ask.queue!r} failed: {caught!r}")
        if found:  # a queue that was paused meanwhile hands out nothing
            self._pauses.refresh()
        with self._changed:
            self._ends[ask].remove(end)
            if not self._ends[ask]:
                del self._ends[ask]
            if error is not None and self._waiting.get(ask):
                self._errors[ask] = error
            self._inbox[ask] += found
            self._changed.notify_all()
            if not found:
                return
            left = self._hold(ask, found)
        if left:
            try:
                self._give_back(left)
            except BrokerError as caught:
                log.warning("%d messages return when their lease ends: %s", len(left), caught)

    def _hold(self, ask: Ask, found: list[Delivery]) -> list[Delivery]:
        """Wait until somebody has taken these; answers what nobody took. The lock is held."""
        ours = {id(one) for one in found}
        until = self._clock.now() + HOLD
        while not self._closed and any(id(one) in ours for one in self._inbox.get(ask, ())):
            left = until - self._clock.now()
            if left <= 0:
                break
            self._clock.wait(self._changed, left)
        box = self._inbox.get(ask, [])
        kept = [one for one in box if id(one) in ours]
        box[:] = [one for one in box if id(one) not in ours]
        if not box:
            self._inbox.pop(ask, None)
        return kept

    # ---- from outside -----------------------------------------------------------------------
    def wake(self) -> None:
        """Let waiting receivers look at their `stop` again."""
        with self._changed:
            self._changed.notify_all()

    def count(self) -> int:
        """How many polls AWS holds, or is about to."""
        with self._changed:
            return sum(map(len, self._ends.values()))

    def close(self) -> None:
        """End every wait; polls that AWS still holds end by themselves and give back."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
