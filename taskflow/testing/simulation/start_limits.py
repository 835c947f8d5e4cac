"""Which queues may start something: the rates and the concurrency of their handlers."""

from collections import Counter
from collections.abc import Iterable, Sequence

from taskflow.broker import Broker
from taskflow.registry import Registry
from taskflow.worker.flow_control import FlowControl
from taskflow.worker.job import Job


class StartLimits:
    """Of the workers of a simulation together."""

    def __init__(self, broker: Broker, registry: Registry) -> None:
        self._flow = FlowControl(broker, registry)
        entries = {queue: registry.on(queue) for queue in registry.queues()}
        self._rated = {queue for queue, on in entries.items() if any(one.rate for one in on)}
        self._limited = {
            queue: {one.name: one.concurrency for one in on if one.concurrency is not None}
            for queue, on in entries.items()
        }

    def closed(self, running: Iterable[Job]) -> set[str]:
        """Queues of which as many run as may."""
        counts = Counter(job.handler for job in running)
        return {
            queue
            for queue, limited in self._limited.items()
            if any(counts[name] >= most for name, most in limited.items())
        }

    def opens_in(self, queue: str) -> float:
        """In how many seconds its rates allow a start; 0 for now."""
        if queue not in self._rated:
            return 0.0
        allowed, seconds = self._flow.allowed(queue)
        return max(0.001, seconds) if allowed == 0 else 0.0

    def started(self, queue: str, jobs: Sequence[Job]) -> None:
        """These were."""
        if queue in self._rated:
            self._flow.spend(jobs)
