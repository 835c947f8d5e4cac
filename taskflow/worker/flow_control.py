"""What holds a queue back: concurrency limits and rates of its handlers."""

from collections import Counter
from collections.abc import Iterable

from taskflow.broker import Broker
from taskflow.registry import Registry, Subscription
from taskflow.worker.execute import Job

SYNC, ASYNC = "threads", "coroutines"
_UNHANDLED = (SYNC,)


class FlowControl:
    """How many more messages each queue may hand out now. Not thread-safe, but for `allowed` and
    `spend`, which one thread at a time calls.

    A limit of a handler holds its whole queue back, since only a receive tells which handler a
    message is for: give a limited handler a queue of its own. Rates are shared with the other
    workers of the broker.
    """

    def __init__(self, broker: Broker, registry: Registry, slots: dict[str, int]) -> None:
        self._broker = broker
        self._most = dict(slots)
        self._keys: dict[str, tuple[str, ...]] = {}  # by subscription: what its jobs count under
        self._limits: dict[str, tuple[str, ...]] = {}  # by queue: what limits it
        self._rates: dict[str, tuple[tuple[str, float], ...]] = {}  # by queue: name, per second
        self._debt: Counter[tuple[str, float]] = Counter()
        for queue in registry.queues():
            found = registry.on(queue)
            keys = {key for one in found for key in self._learn(one)}
            self._limits[queue] = tuple(keys)
            self._rates[queue] = tuple({(one.name, one.rate) for one in found if one.rate})
        self._held: Counter[str] = Counter()

    def _learn(self, one: Subscription) -> tuple[str, ...]:
        """What the jobs of a subscription count under; some are made when modules are imported
        late, by a handler say."""
        kind = ASYNC if one.signature.is_async else SYNC
        keys = (kind,) if one.concurrency is None else (kind, one.name)
        self._keys[one.name] = keys
        if one.concurrency is not None:
            self._most[one.name] = one.concurrency
        return keys

    def enter(self, jobs: Iterable[Job]) -> None:
        """Count jobs as held."""
        for job in jobs:
            for key in self._keys_of(job):
                self._held[key] += 1

    def leave(self, jobs: Iterable[Job]) -> None:
        """They have ended, or were given back."""
        for job in jobs:
            for key in self._keys_of(job):
                self._held[key] -= 1

    def _keys_of(self, job: Job) -> tuple[str, ...]:
        if job.subscription is None:
            return _UNHANDLED
        return self._keys.get(job.subscription.name) or self._learn(job.subscription)

    def room(self, queue: str, prefetched: int = 0) -> int:
        """How many more messages of this queue can be started, rates aside.

        `prefetched`: so many may be held for the threads together although fewer are free.
        """
        least: int | None = None
        for key in self._limits[queue]:
            room = self._most[key] - self._held[key]
            if key == SYNC and room > 0:
                room = max(room, prefetched)
            least = room if least is None else min(least, room)
        return 0 if least is None else least

    def allowed(self, queue: str) -> tuple[int | None, float]:
        """How many its rates allow now (None: any number), and else in how many seconds one."""
        least: float | None = None
        wait = 0.0
        for name, rate in self._rates[queue]:
            self._pay()
            tokens = self._broker.allowance(name, rate)
            least = tokens if least is None else min(least, tokens)
            wait = max(wait, (1 - tokens) / rate)
        return (None, 0.0) if least is None else (max(0, int(least)), wait)

    def spend(self, jobs: Iterable[Job]) -> None:
        """Pay for what was received, from the rates of its handlers; what cannot be paid now is
        paid before anything more is asked for."""
        for job in jobs:
            if job.subscription is not None and job.subscription.rate is not None:
                self._debt[job.subscription.name, job.subscription.rate] += 1
        self._pay()

    def _pay(self) -> None:
        for (name, rate), count in list(self._debt.items()):
            self._broker.spend(name, rate, count)
            del self._debt[name, rate]
