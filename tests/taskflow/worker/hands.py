"""A worker's parts without threads, for tests that make each step themselves."""

from taskflow import Worker
from taskflow.worker.inflight import Inflight
from taskflow.worker.job import Job
from taskflow.worker.job_intake import Intake
from taskflow.worker.job_settler import Settler
from taskflow.worker.observer import Observers
from taskflow.worker.slots import Slots
from taskflow.worker.trouble_log import TroubleLog


class Hands:
    """One table with what feeds and empties it."""

    def __init__(self, worker: Worker, slots: Slots | None = None) -> None:
        self.worker = worker
        self.clock = worker.broker.clock
        observers = Observers((TroubleLog(), *worker.observers))
        self.inflight = Inflight(self.clock, observers, slots)
        self.settler = Settler(worker.broker, self.inflight, worker.retention)
        self._intake = Intake(worker.broker, worker.registry, self.inflight, self.settler)

    def take(self, limit: int = 10) -> list[Job]:
        """Receive, and hold."""
        return self._intake.take(self.worker.queue_order(), limit)

    def run(self) -> list[Job]:
        """Run all that may start; nobody is told yet."""
        jobs = []
        while (job := self.inflight.start()) is not None:
            self.inflight.end(job, self.worker.execute(job), self.clock.now())
            jobs.append(job)
        return jobs


def take(worker: Worker, limit: int = 10) -> list[Job]:
    """Receive, and hold where nobody looks any more: as a worker that dies then."""
    return Hands(worker).take(limit)
