"""From the broker into the table: receive, hold, and see which of the messages may run here."""

from collections.abc import Callable, Sequence

from taskflow.broker import Broker
from taskflow.registry import Registry
from taskflow.telemetry.tracing import active
from taskflow.worker.execute import find_job, identify
from taskflow.worker.inflight import Inflight
from taskflow.worker.job import Job
from taskflow.worker.job_settler import Settler
from taskflow.worker.ordering import divide


class Intake:
    """One thread at a time calls `take`."""

    def __init__(
        self, broker: Broker, registry: Registry, inflight: Inflight, settler: Settler
    ) -> None:
        self._broker = broker
        self._registry = registry
        self._inflight = inflight
        self._settler = settler

    def take(
        self,
        queues: Sequence[str],
        limit: int,
        wait: float = 0.0,
        stop: Callable[[], bool] | None = None,
    ) -> list[Job]:
        """Receive up to `limit` messages, and hold them from then on; answers those that run here.

        Those of a FIFO queue that had better not wait behind others are given back at once, those
        that another worker runs already are left to it. Raises BrokerError; what was received is
        then given back.
        """
        while True:
            chosen, astray = self._take(queues, limit, wait, stop)
            if chosen or not astray or (stop is not None and stop()):
                return chosen
            wait = 0.0  # those that were given back, for their slots, are there at once

    def _take(
        self,
        queues: Sequence[str],
        limit: int,
        wait: float,
        stop: Callable[[], bool] | None,
    ) -> tuple[list[Job], bool]:
        """Once; and whether some were given back since their slot was not known."""
        tracing, clock = active(), self._broker.clock
        began = 0.0 if tracing is None else clock.now()
        deliveries = self._broker.receive(
            *queues,
            limit=limit,
            wait=wait,
            stop=stop,
            holding=self._inflight.holding(self._registry.limits),
        )
        if tracing is not None and deliveries:
            tracing.received(deliveries, began, clock.now())
        jobs = [find_job(delivery, self._registry) for delivery in deliveries]
        self._inflight.receive(jobs)  # from here on they have an owner, whatever fails
        try:
            chosen = self._sort(jobs)
        except BaseException:
            back = self._inflight.return_received(jobs)
            self._settler.give_back(back, "whether they may run here is not known")
            raise
        if denied := self._inflight.place(chosen):
            self._settler.give_back(denied, "what came before them took their slots")
            chosen = [job for job in chosen if job not in denied]
        return chosen, any(job.found is not None and job.slot is not None for job in jobs)

    def _sort(self, jobs: list[Job]) -> list[Job]:
        identify(jobs, self._broker, self._registry)
        if astray := [job for job in jobs if job.found is not None and job.slot is not None]:
            self._inflight.return_received(astray)
            self._settler.give_back(astray, "its slot was not known before")
            jobs = [job for job in jobs if job not in astray]
        if any(job.delivery.group is not None for job in jobs):
            jobs, behind = divide(jobs)
            self._inflight.return_received(behind)
            self._settler.give_back(behind, "an earlier message of their group is not done")
        elsewhere = claim(self._broker, jobs)
        if elsewhere:
            self._inflight.leave(elsewhere)
            jobs = [job for job in jobs if job not in elsewhere]
        return jobs


def claim(broker: Broker, jobs: Sequence[Job]) -> list[Job]:
    """Claim the jobs that are to be idempotent, and note which are duplicates; answers those that
    run elsewhere, which are not the caller's any more."""
    asked = [job for job in jobs if job.window]
    if not asked:
        return []
    elsewhere = []
    for job, answer in zip(asked, broker.claim([job.delivery for job in asked]), strict=True):
        job.duplicate = answer == "finished"
        if answer == "running":
            elsewhere.append(job)
    return elsewhere
