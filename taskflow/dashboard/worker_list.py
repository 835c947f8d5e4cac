"""`/workers`: who is at work, which handlers are slow, what failed last."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from taskflow.broker import WorkerReport
from taskflow.dashboard.answer import Answer
from taskflow.dashboard.exporting import export
from taskflow.dashboard.sorting import PAGE, read_sort, sorted_page
from taskflow.dashboard.survey import LOST, Survey
from taskflow.dashboard.terms import Filter, read_filter
from taskflow.dashboard.visit import Visit
from taskflow.telemetry.spread import within

Span = float | None
NAMES = ("host", "worker", "queue", "handler", "is")
MOST_HANDLERS = 50
MOST_FAILURES = 20
MOST_RUNNING = 50
KEYS: dict[str, Callable[["HandlerLine"], Any]] = {
    "name": lambda one: one.name,
    "runs": lambda one: one.runs,
    "failed": lambda one: one.failed,
    "mean": lambda one: one.mean,
    "most": lambda one: one.most,
    "half": lambda one: one.half or 0.0,
    "p99": lambda one: one.most_of or 0.0,
    "total": lambda one: one.seconds,
}


class HandlerLine(NamedTuple):
    """What all workers together report of a handler since they began. `half` of its runs ended
    within so many seconds, and `most_of` them (99 of 100)."""

    name: str
    runs: int
    failed: int
    seconds: float
    most: float
    workers: int
    half: float | None = None
    most_of: float | None = None

    @property
    def mean(self) -> float | None:
        """Seconds of a run."""
        return self.seconds / self.runs if self.runs else None


def show(visit: Visit) -> Answer:
    """The workers."""
    survey, asked = visit.survey(), visit.asked
    found = read_filter(asked.one("q"), NAMES, visit.now)
    kept = [
        one
        for one in sorted(survey.workers, key=lambda one: (one.host, one.pid))
        if _keeps(found, survey, one)
    ]
    if (file := export(asked, "workers", [_row(survey, one) for one in kept])) is not None:
        return file
    sort = read_sort(asked.one("sort"), KEYS, "-most")
    handlers, total, _ = sorted_page(
        handler_lines(kept), sort, KEYS[sort.key], lambda one: one.name, "", MOST_HANDLERS
    )
    failures = [{**one, "worker": f"{by.host} {by.pid}"} for by in kept for one in by.failures]
    failures.sort(key=lambda one: -float(one.get("at") or 0.0))
    return visit.page(
        "workers.html",
        "/workers",
        survey=survey,
        found=found,
        names=NAMES,
        workers=[(one, *state_of(survey, one)) for one in kept[:PAGE]],
        kept=len(kept),
        busy=sum(one.busy for one in kept),
        slots=sum(one.slots for one in kept),
        hosts=len({one.host for one in kept}),
        handlers=handlers,
        handlers_in_all=total,
        most=max((one.most for one in handlers), default=0.0) or 1.0,
        failures=failures[:MOST_FAILURES],
        running=running_lines(survey, kept),
        told=visit.broker.features.runs,
        waiting=sum(one.counts.visible for one in survey.queues.values()),
        sort=sort,
        resort=lambda key: asked.again(sort=key),
    )


def _keeps(found: Filter, survey: Survey, one: WorkerReport) -> bool:
    return found.keeps(
        {
            "host": lambda: one.host,
            "worker": lambda: one.id,
            "queue": lambda: one.queues,
            "handler": lambda: list(one.handlers),
            "is": lambda: state_of(survey, one)[1],
        },
        lambda: f"{one.host} {one.pid} {' '.join(one.queues)}",
        survey.at,
    )


def state_of(survey: Survey, one: WorkerReport) -> tuple[str, str]:
    """Sign and word of a worker."""
    if survey.at - one.seen_at > LOST:
        return "warn", "lost"
    if one.does:
        return "hold", one.does
    return ("run", "working") if one.busy else ("", "ready")


def handler_lines(workers: list[WorkerReport]) -> list[HandlerLine]:
    """Each handler of some workers, added up."""
    found: dict[str, HandlerLine] = {}
    for worker in workers:
        for name, one in worker.handlers.items():
            before = found.get(name, HandlerLine(name, 0, 0, 0.0, 0.0, 0))
            found[name] = HandlerLine(
                name,
                before.runs + int(one.get("runs", 0)),
                before.failed + int(one.get("failed", 0)),
                before.seconds + one.get("seconds", 0.0),
                max(before.most, one.get("most", 0.0)),
                before.workers + 1,
            )
    by_name: dict[str, list[Mapping[int, int]]] = {}
    for worker in workers:
        for names in worker.times.values():
            for name, some in names.items():
                by_name.setdefault(name, []).append(some)
    return [
        one._replace(half=within(times, 0.5), most_of=within(times, 0.99))
        if (times := by_name.get(one.name))
        else one
        for one in found.values()
    ]


def queue_lines(workers: Sequence[WorkerReport], queue: str) -> list[tuple[str, int, Span, Span]]:
    """The handlers of a queue as its workers report them: name, runs, and within how many seconds
    half of them, and 99 of 100, ended; what took most runs first."""
    found: dict[str, list[Mapping[int, int]]] = {}
    for worker in workers:
        for name, one in worker.times.get(queue, {}).items():
            found.setdefault(name, []).append(one)
    lines = [
        (name, sum(sum(one.values()) for one in times), within(times, 0.5), within(times, 0.99))
        for name, times in found.items()
    ]
    return sorted(lines, key=lambda line: -line[1])[:MOST_HANDLERS]


def running_lines(survey: Survey, workers: list[WorkerReport]) -> list[Mapping[str, Any]]:
    """What the workers that report run now, by what they said last; the longest first."""
    found: list[Mapping[str, Any]] = [
        {**one, "worker": f"{by.host} {by.pid}"}
        for by in workers
        if survey.at - by.seen_at <= LOST
        for one in by.running
    ]
    return sorted(found, key=lambda one: float(one.get("since") or 0.0))[:MOST_RUNNING]


def _row(survey: Survey, one: WorkerReport) -> dict[str, object]:
    return {
        "id": one.id,
        "host": one.host,
        "pid": one.pid,
        "state": state_of(survey, one)[1],
        "queues": " ".join(one.queues),
        "busy": one.busy,
        "slots": one.slots,
        "started_at": one.started_at,
        "seen_at": one.seen_at,
    }
