"""What a pool has done so far, for its report: runs by handler, waits, and the last failures."""

from collections import deque

from taskflow.retry import Done
from taskflow.telemetry.spread import number_of
from taskflow.worker.job import Job
from taskflow.worker.observer import Observer

FAILURES_KEPT = 20
Kept = tuple[dict[str, float], dict[int, int], dict[int, int]]
"""Where runs of a handler on a queue are counted: in all, by their time, by their wait."""


class Tally(Observer):
    """Counts runs. Read it under the lock that its calls come under."""

    def __init__(self) -> None:
        self.handlers: dict[str, dict[str, float]] = {}
        self.times: dict[str, dict[str, dict[int, int]]] = {}  # by queue, then by handler
        self.waits: dict[str, dict[int, int]] = {}  # by queue, from sent to started
        self.failures: deque[dict[str, object]] = deque(maxlen=FAILURES_KEPT)
        self._kept: dict[tuple[str, str], Kept] = {}

    def ended(self, job: Job, seconds: float) -> None:
        """Of every run, one that was given up too. A retry has waited on purpose, so only first
        attempts count as having waited."""
        delivery = job.delivery
        kept = self._kept.get((delivery.queue, job.handler))
        totals, times, waits = kept or self._keep(delivery.queue, job.handler)
        number = number_of(seconds)
        times[number] = times.get(number, 0) + 1
        if delivery.receive_count == 1:
            number = number_of(job.ended_at - seconds - delivery.sent_at)
            waits[number] = waits.get(number, 0) + 1
        totals["runs"] += 1
        totals["seconds"] += seconds
        if seconds > totals["most"]:
            totals["most"] = seconds
        if isinstance(job.outcome, Done):
            totals["skipped"] += job.outcome.skipped not in (None, "suspended")
            return
        totals["failed"] += 1
        error = job.outcome.error
        self.failures.append(
            {
                "at": job.ended_at,
                "queue": delivery.queue,
                "event": delivery.id,
                "handler": job.handler,
                "outcome": type(job.outcome).__name__.lower(),
                "error": type(error).__name__ if error else "",
            }
        )

    def _keep(self, queue: str, name: str) -> Kept:
        totals = self.handlers.setdefault(
            name, {"runs": 0, "failed": 0, "skipped": 0, "seconds": 0, "most": 0}
        )
        times = self.times.setdefault(queue, {}).setdefault(name, {})
        kept = self._kept[queue, name] = totals, times, self.waits.setdefault(queue, {})
        return kept
