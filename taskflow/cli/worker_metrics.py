"""All that a worker process tells Prometheus, put together."""

from collections.abc import Sequence
from typing import cast

from taskflow import __version__
from taskflow.broker import Broker
from taskflow.cli.broker_look import BrokerLook
from taskflow.telemetry.counted_broker import CountedBroker
from taskflow.telemetry.family import Family, Sample
from taskflow.worker.observer import Observer
from taskflow.worker.pool import Pool
from taskflow.worker.run_metrics import RunMetrics
from taskflow.worker.run_times import RunTimes
from taskflow.worker.slots import ASYNC, SYNC
from taskflow.worker.worker import Worker


class WorkerMetrics:
    """Give the pool's worker its `broker` and its `observers`, then ask for `families`."""

    def __init__(self, broker: Broker) -> None:
        self.counted = CountedBroker(broker)
        """Counts what goes through it."""
        self._runs = RunMetrics(broker.clock)
        self._times = RunTimes()
        self.broker = cast(Broker, self.counted)
        self.observers: Sequence[Observer] = (self._runs, self._times)
        self._pool: Pool | None = None
        self._look: BrokerLook | None = None

    def attend(self, pool: Pool, worker: Worker) -> None:
        """Tell of this pool of the worker, too, and of what waits for it."""
        self._pool = pool
        self._look = BrokerLook(self.broker, worker.queues, self._mean)
        handlers = [entry.name for name in worker.queues for entry in worker.registry.on(name)]
        self._runs.expect(handlers, worker.queues)

    def _mean(self, queue: str) -> float:
        """Without those that run and have not ended: a guess would make a poor alert."""
        return sum(self._times.mean(queue, kind, (), 0.0) for kind in (SYNC, ASYNC))

    def families(self) -> list[Family]:
        """As it is now; what the broker says may be some seconds old."""
        assert self._pool is not None
        assert self._look is not None
        sizes = self._pool.sizes()
        return [
            Family(
                "taskflow_build_info",
                "gauge",
                "1, by the version of taskflow.",
                [Sample({"version": __version__}, 1)],
            ),
            *self._runs.families(),
            *self.counted.families(),
            Family(
                "taskflow_pool_busy",
                "gauge",
                "Handlers that run now.",
                [Sample({"kind": kind}, busy) for kind, (busy, _) in sizes.items()],
            ),
            Family(
                "taskflow_pool_slots",
                "gauge",
                "Handlers that may run at once.",
                [Sample({"kind": kind}, most) for kind, (_, most) in sizes.items()],
            ),
            *self._look.families(),
        ]
