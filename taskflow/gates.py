"""What holds a queue back: concurrency limits and rates of its handlers."""

from collections import Counter
from collections.abc import Iterable

from taskflow.broker import Broker
from taskflow.execute import Job
from taskflow.registry import Registry, Subscription

SYNC, ASYNC = "threads", "coroutines"


class Gates:
    """How many more messages each queue may hand out now. Not thread-safe.

    A limit of a handler holds its whole queue back, since only a receive tells which handler a
    message is for: give a limited handler a queue of its own. Rates are shared with the other
    workers of the broker.
    """

    def __init__(self, broker: Broker, registry: Registry, slots: dict[str, int]) -> None:
        self._broker = broker
        self._registry = registry
        self._most = dict(slots)
        for subscription in registry:
            if subscription.concurrency is not None:
                self._most[subscription.name] = subscription.concurrency
        self._held: Counter[str] = Counter()

    def enter(self, jobs: Iterable[Job]) -> None:
        """Count jobs as held."""
        for job in jobs:
            self._held.update(self._keys(job))

    def leave(self, jobs: Iterable[Job]) -> None:
        """They have ended, or were given back."""
        for job in jobs:
            self._held.subtract(self._keys(job))

    def _keys(self, job: Job) -> list[str]:
        return [SYNC] if job.subscription is None else self._limits(job.subscription)

    def _limits(self, subscription: Subscription) -> list[str]:
        kind = ASYNC if subscription.signature.is_async else SYNC
        return [kind] if subscription.concurrency is None else [kind, subscription.name]

    def room(self, queue: str, prefetched: int = 0) -> int:
        """How many more messages of this queue can be started, rates aside.

        `prefetched`: so many may be held for the threads together although fewer are free.
        """
        limits = {key for found in self._registry.on(queue) for key in self._limits(found)}
        rooms = {key: self._most[key] - self._held[key] for key in limits}
        if rooms.get(SYNC, 0) > 0:
            rooms[SYNC] = max(rooms[SYNC], prefetched)
        return min(rooms.values())

    def allowed(self, queue: str) -> tuple[int | None, float]:
        """How many its rates allow now (None: any number), and else in how many seconds one."""
        least: float | None = None
        wait = 0.0
        for found in self._registry.on(queue):
            if found.rate is not None:
                tokens = self._broker.allowance(found.name, found.rate)
                least = tokens if least is None else min(least, tokens)
                wait = max(wait, (1 - tokens) / found.rate)
        return (None, 0.0) if least is None else (max(0, int(least)), wait)

    def spend(self, jobs: Iterable[Job]) -> None:
        """Pay for what was received, from the rates of its handlers."""
        counts = Counter(
            (job.subscription.name, job.subscription.rate)
            for job in jobs
            if job.subscription is not None
        )
        for (name, rate), count in counts.items():
            if rate is not None:
                self._broker.spend(name, rate, count)
