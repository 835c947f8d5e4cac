"""How long a message of each queue takes, in a thread and in a coroutine: moving means."""

from collections.abc import Iterable

from taskflow.worker.job import Job
from taskflow.worker.observer import Observer
from taskflow.worker.slots import ASYNC, SYNC

SHARE = 0.1  # of the latest run in the mean


class RunTimes(Observer):
    """Read it under the lock that its calls come under.

    Of a queue that has both kinds of handlers a message is thought to take a part of either, as
    those before it did.
    """

    def __init__(self) -> None:
        self._means: dict[tuple[str, str], float] = {}  # by queue and kind

    def ended(self, job: Job, seconds: float) -> None:
        """Of every run, one that was given up too."""
        queue, its = job.delivery.queue, kind_of(job)
        for kind in (SYNC, ASYNC):
            taken = seconds if kind == its else 0.0
            mean = self._means.setdefault((queue, kind), taken)
            self._means[queue, kind] = mean + (taken - mean) * SHARE

    def mean(self, queue: str, kind: str, running: Iterable[Job], now: float) -> float:
        """Seconds of this kind for a message of the queue. Until one has ended: what those that
        run have taken so far, `now` being the clock's `elapsed`; 0 when there is none."""
        if (known := self._means.get((queue, kind))) is not None:
            return known
        here = [job for job in running if job.delivery.queue == queue]
        taken = sum(now - job.started for job in here if kind_of(job) == kind)
        return taken / len(here) if here else 0.0


def kind_of(job: Job) -> str:
    """What it runs in: SYNC or ASYNC."""
    return ASYNC if job.entry is not None and job.entry.is_async else SYNC
