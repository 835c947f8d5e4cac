"""Receiving from several files: from the own one first, and waiting at all of them."""

from collections.abc import Callable, Collection, Hashable, Sequence
from heapq import merge

from taskflow.broker.settings import Holding
from taskflow.brokers.sharded.course import Course
from taskflow.brokers.sharded.fence import MapChanged
from taskflow.brokers.sharded.homes import Homes
from taskflow.brokers.sharded.hub import Hub, name_in
from taskflow.brokers.sharded.operate import age_of
from taskflow.brokers.sharded.placement import Placement
from taskflow.brokers.sharded.shard import Shard
from taskflow.clock import Clock
from taskflow.errors import BrokerUnavailable, OverLimit
from taskflow.limits import check_receive, is_fifo
from taskflow.message import Delivery


class Receiver:
    """Thread-safe: every caller has its own look, and waits by itself."""

    def __init__(
        self,
        course: Course,
        shards: Sequence[Shard],
        placement: Placement,
        homes: Homes,
        hub: Hub,
        clock: Clock,
    ) -> None:
        self._steady = course.steady
        self._shards = shards
        self._placement = placement
        self._homes = homes
        self._hub = hub
        self._clock = clock

    def receive(
        self,
        *queues: str,
        limit: int = 1,
        wait: float = 0.0,
        visibility: float | None = None,
        stop: Callable[[], bool] | None = None,
        attempt: str | None = None,
        holding: Holding | None = None,
    ) -> list[Delivery]:
        """Lend due messages, or wait for some."""
        check_receive(queues, limit, wait, visibility)
        if not wait:
            taken = self._take(queues, limit, visibility, attempt, holding)
            if not taken:
                self._check()
            return taken
        waiters, clock = self._hub.waiters, self._clock
        deadline = clock.now() + wait
        waiters.listen()
        asked, names, epoch = list[tuple[Shard, str]](), list[str](), -1
        rung, before = list[int](), list[int]()
        version: Hashable = None
        while True:
            if epoch != self._placement.map.epoch:  # there may be other files
                epoch, before = self._placement.map.epoch, []
                asked = [
                    (shard, name) for shard in self._shards for name in self._asks(shard, queues)
                ]
                names = [name_in(shard.number, name) for shard, name in asked]
                rung = waiters.rung(names)
            if before and attempt is None:
                rang = [at for at in range(len(names)) if rung[at] != before[at]]
                if len(rang) == 1:
                    shard, name = asked[rang[0]]
                    if one := self._take_lone(shard, name, visibility, holding):
                        return [one]
            before = rung
            looked_at = clock.now()
            if taken := self._take(queues, limit, visibility, attempt, holding):
                return taken
            until = deadline
            if (due := self._next_due(queues, looked_at)) is not None:
                until = min(until, due)
            while True:
                self._check()
                if clock.now() >= deadline or not waiters.park(names, rung, until, stop):
                    return []
                rung = waiters.rung(names)
                if rung != before or clock.now() >= until:
                    break
                # It was only time to look again, and mostly nobody has done anything.
                seen, version = version, self._steady(self._version)
                if version != seen:
                    break

    def _version(self) -> Hashable:
        return tuple(shard.store.version() for shard in self._shards)

    def _check(self) -> None:
        def check() -> None:
            for shard in self._shards:
                shard.store.check()

        self._steady(check)

    def _take_lone(
        self, shard: Shard, name: str, visibility: float | None, holding: Holding | None
    ) -> Delivery | None:
        def take() -> Delivery | None:
            if shard not in self._shards:
                return None
            return shard.broker.receiver.take_lone(name, visibility, holding, rung=True)

        return self._steady(take)

    def _take(
        self,
        queues: Sequence[str],
        limit: int,
        visibility: float | None,
        attempt: str | None,
        holding: Holding | None,
    ) -> list[Delivery]:
        return self._steady(
            lambda: self._take_steadily(queues, limit, visibility, attempt, holding)
        )

    def _take_steadily(
        self,
        queues: Sequence[str],
        limit: int,
        visibility: float | None,
        attempt: str | None,
        holding: Holding | None,
    ) -> list[Delivery]:
        taken: list[Delivery] = []
        by_file: list[list[Delivery]] = []
        held, over = holding, None
        for shard in self._homes.order():
            if not (names := self._asks(shard, queues)):
                continue
            left = limit - len(taken)
            try:
                some = shard.broker.receiver.take(names, left, visibility, attempt, held)
            except OverLimit as error:  # others may have room
                over = error
                continue
            except (BrokerUnavailable, MapChanged):
                if taken:  # they are lent; whoever asks next hears of it
                    break
                raise
            if some:
                by_file.append(some)
                taken += some
            if len(taken) >= limit or (taken and taken[-1].suspect):
                break
            if held is not None and taken:  # no suspect comes along with others
                held = Holding(len(taken), 1, held.limits)
        if over is not None and not taken:
            raise over
        return taken if len(by_file) < 2 else list(merge(*by_file, key=age_of))

    def _asks(self, shard: Shard, queues: Sequence[str]) -> Sequence[str]:
        """Which of the queues to ask in a file."""
        if shard.number == self._placement.fifo:
            return queues
        return [name for name in queues if not is_fifo(name)]

    def next_due(self, *queues: str) -> float | None:
        """When the next hidden message becomes visible."""
        return self._next_due(queues, self._clock.now())

    def _next_due(self, queues: Sequence[str], now: float) -> float | None:
        """The first time after `now` at which there is more, in any file."""

        def look() -> float | None:
            times = [
                shard.broker.receiver.next_due_after(names, now)
                for shard in self._shards
                if (names := self._asks(shard, queues))
            ]
            return min((time for time in times if time is not None), default=None)

        return self._steady(look)

    def wake(self) -> None:
        """Let parked receives look at their `stop`."""
        self._hub.waiters.wake()

    def watch(self, heard: Callable[[Collection[str]], None]) -> None:
        """Hear of every ring."""
        self._hub.watch(heard)
