"""What autoscales a pool: it looks at the backlog, asks `Autoscale`, and resizes the slots."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence

from taskflow.broker import Broker
from taskflow.worker.autoscale import TARGET, Autoscale
from taskflow.worker.bounds import Bounds
from taskflow.worker.health import processor_seconds
from taskflow.worker.inflight import Inflight
from taskflow.worker.run_times import RunTimes, kind_of
from taskflow.worker.slots import Slots

log = logging.getLogger("taskflow.worker")

COUNTED = 100_000  # messages of a queue at most, for handlers of microseconds: 5 to 15 ms


class Scaler:
    """One thread calls `look`. `bounds` are those of the kinds of slots; without any that scale
    nothing is ever asked of the broker, and `times` need not be told.

    `resized` is called after a change, without the lock; `spent` answers the processor seconds of
    this process.
    """

    def __init__(
        self,
        broker: Broker,
        queues: Sequence[str],
        inflight: Inflight,
        slots: Slots,
        times: RunTimes,
        bounds: Mapping[str, Bounds],
        resized: Callable[[], None],
        spent: Callable[[], float] = processor_seconds,
    ) -> None:
        self._broker = broker
        self._queues = queues
        self._inflight = inflight
        self._slots = slots
        self._times = times
        self._bounds = {kind: found for kind, found in bounds.items() if found.scales}
        self._sizes = {kind: Autoscale(found) for kind, found in self._bounds.items()}
        self._resized = resized
        self._spent = spent
        self._looked_at, self._spent_then = broker.clock.elapsed(), spent()

    @property
    def reason(self) -> str:
        """Why there are as many slots as there are; empty until that changes."""
        return "; ".join(f"{kind} {one.reason}" for kind, one in self._sizes.items() if one.reason)

    def look(self) -> None:
        """Grow or shrink, if it is time to. Raises BrokerError when the broker cannot be used."""
        if not self._sizes:
            return
        costs = self._costs()
        waiting = {
            queue: self._broker.waiting(queue, self._enough(cost))
            for queue, cost in costs.items()
            if any(cost.values())
        }
        now, spent = self._broker.clock.elapsed(), self._spent()
        cpu = (spent - self._spent_then) / max(1e-3, now - self._looked_at)
        self._looked_at, self._spent_then = now, spent
        news = []
        with self._inflight.lock:
            kinds = [kind_of(job) for job in self._inflight.running]
            for kind, one in self._sizes.items():
                found = [(costs[queue][kind], count) for queue, count in waiting.items()]
                count = sum(count for cost, count in found if cost)
                mean = sum(cost * count for cost, count in found) / max(1, count)
                if one.look(now, count, mean, kinds.count(kind), cpu):
                    news.append(f"{kind} {one.reason}")
                self._slots.resize(kind, one.size)
        for text in news:
            log.info("concurrency: %s", text)
        if news:
            self._resized()

    def _costs(self) -> dict[str, dict[str, float]]:
        """By queue and kind: the seconds that a message takes."""
        with self._inflight.lock:
            now, running = self._broker.clock.elapsed(), list(self._inflight.running)
            return {
                queue: {kind: self._times.mean(queue, kind, running, now) for kind in self._sizes}
                for queue in self._queues
            }

    def _enough(self, cost: Mapping[str, float]) -> int:
        """With so many waiting messages every kind wants all the slots it may have."""
        wanted = [self._bounds[kind].most * TARGET / taken for kind, taken in cost.items() if taken]
        return min(COUNTED, math.ceil(max(wanted)))
