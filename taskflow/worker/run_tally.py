"""What a pool has done so far, for its report: runs by handler, and the last failures."""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Mapping

from taskflow.retry import Done
from taskflow.worker.job import Job
from taskflow.worker.observer import Observer

FAILURES_KEPT = 20
SHORTEST, LONGEST = -20, 30  # the numbers of bounds: 1 ms and 9 h


def bound(number: int) -> float:
    """The seconds that runs of a number took at most; each is 1.4 times the one before."""
    return float(2.0 ** (number / 2))


_BOUNDS = [bound(number) for number in range(SHORTEST, LONGEST)]


def within(times: Iterable[Mapping[int, int]], part: float) -> float | None:
    """Within how many seconds such a part of all runs ended, rounded up to the next bound; None
    when there were none."""
    found: dict[int, int] = {}
    for one in times:
        for number, count in one.items():
            found[number] = found.get(number, 0) + count
    left = part * sum(found.values())
    for number in sorted(found):
        left -= found[number]
        if left <= 0:
            return bound(number)
    return None


class Tally(Observer):
    """Counts runs. Read it under the lock that its calls come under."""

    def __init__(self) -> None:
        self.handlers: dict[str, dict[str, float]] = {}
        self.times: dict[str, dict[str, dict[int, int]]] = {}  # by queue, then by handler
        self.failures: deque[dict[str, object]] = deque(maxlen=FAILURES_KEPT)
        self._kept: dict[tuple[str, str], tuple[dict[str, float], dict[int, int]]] = {}

    def ended(self, job: Job, seconds: float) -> None:
        """Of every run, one that was given up too."""
        kept = self._kept.get((job.delivery.queue, job.handler))
        totals, times = kept or self._keep(job.delivery.queue, job.handler)
        number = SHORTEST + bisect_left(_BOUNDS, seconds)
        times[number] = times.get(number, 0) + 1
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
                "queue": job.delivery.queue,
                "event": job.delivery.id,
                "handler": job.handler,
                "outcome": type(job.outcome).__name__.lower(),
                "error": type(error).__name__ if error else "",
            }
        )

    def _keep(self, queue: str, name: str) -> tuple[dict[str, float], dict[int, int]]:
        """Where the runs of a handler on a queue are counted."""
        totals = self.handlers.setdefault(
            name, {"runs": 0, "failed": 0, "skipped": 0, "seconds": 0, "most": 0}
        )
        times = self.times.setdefault(queue, {}).setdefault(name, {})
        self._kept[queue, name] = totals, times
        return totals, times
