"""What holds a queue back beside its slots: the rates of its handlers."""

from collections import Counter
from collections.abc import Iterable

from taskflow.broker import Broker
from taskflow.registry import Registry
from taskflow.worker.job import Job


class FlowControl:
    """The rates of queues, shared with the other workers of the broker. Not thread-safe: the one
    thread that receives calls it."""

    def __init__(self, broker: Broker, registry: Registry) -> None:
        self._broker = broker
        self._rates: dict[str, tuple[tuple[str, float], ...]] = {}  # by queue: name, per second
        self._debt: Counter[tuple[str, float]] = Counter()
        for queue in registry.queues():
            rates = {(one.name, one.rate) for one in registry.on(queue) if one.rate}
            self._rates[queue] = tuple(rates)

    def allowed(self, queue: str) -> tuple[int | None, float]:
        """How many its rates allow now (None: any number), and else in how many seconds one."""
        least: float | None = None
        wait = 0.0
        for name, rate in self._rates[queue]:
            tokens = self._take(name, rate)
            least = tokens if least is None else min(least, tokens)
            wait = max(wait, (1 - tokens) / rate)
        return (None, 0.0) if least is None else (max(0, int(least)), wait)

    def spend(self, jobs: Iterable[Job]) -> None:
        """Pay for what was received, from the rates of its handlers; what cannot be paid now is
        paid before anything more is asked for."""
        for job in jobs:
            if job.entry is not None and job.entry.rate is not None:
                self._debt[job.entry.name, job.entry.rate] += 1
        for name, rate in list(self._debt):
            self._take(name, rate)

    def _take(self, name: str, rate: float) -> float:
        """Pay what is owed; answers what may be spent now."""
        left = self._broker.take(name, rate, self._debt[name, rate])
        del self._debt[name, rate]
        return left
