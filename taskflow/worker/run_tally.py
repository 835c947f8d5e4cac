"""What a pool has done so far, for its report: runs by handler, and the last failures."""

from collections import deque

from taskflow.retry import Done
from taskflow.worker.job import Job
from taskflow.worker.observer import Observer

FAILURES_KEPT = 20


class Tally(Observer):
    """Counts runs. Read it under the lock that its calls come under."""

    def __init__(self) -> None:
        self.handlers: dict[str, dict[str, float]] = {}
        self.failures: deque[dict[str, object]] = deque(maxlen=FAILURES_KEPT)

    def ended(self, job: Job, seconds: float) -> None:
        """Of every run, one that was given up too."""
        name = job.handler
        totals = self.handlers.get(name)
        if totals is None:
            totals = {"runs": 0, "failed": 0, "skipped": 0, "seconds": 0, "most": 0}
            self.handlers[name] = totals
        totals["runs"] += 1
        totals["seconds"] += seconds
        totals["most"] = max(totals["most"], seconds)
        if isinstance(job.outcome, Done):
            totals["skipped"] += job.outcome.skipped not in (None, "suspended")
            return
        totals["failed"] += 1
        error = job.outcome.error
        self.failures.append(
            {
                "at": job.ended_at,
                "queue": job.delivery.queue,
                "event": job.delivery.id,
                "handler": name,
                "outcome": type(job.outcome).__name__.lower(),
                "error": type(error).__name__ if error else "",
            }
        )
