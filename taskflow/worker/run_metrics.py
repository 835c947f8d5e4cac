"""What a worker does with its messages, counted for Prometheus: an observer."""

from collections.abc import Iterable

from taskflow.clock import Clock
from taskflow.retry import Done, Outcome, Retry
from taskflow.telemetry.counter import Counter
from taskflow.telemetry.family import Family
from taskflow.telemetry.histogram import RUN_BUCKETS, WAIT_BUCKETS, Histogram
from taskflow.worker.job import Job
from taskflow.worker.observer import Observer


class RunMetrics(Observer):
    """Hand it to `Worker(observers=[…])`; `families` is thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waits = Histogram(
            "taskflow_receive_wait_seconds",
            "Seconds from the sending of a message to its first start, a delay included.",
            ["queue"],
            WAIT_BUCKETS,
        )
        self._durations = Histogram(
            "taskflow_handler_duration_seconds",
            "Seconds that attempts took.",
            ["handler"],
            RUN_BUCKETS,
        )
        self._runs = Counter(
            "taskflow_handler_runs_total",
            "Attempts that ended: done, duplicate, suspended, skipped, retried or dead.",
            ["handler", "outcome"],
        )
        self._lost = Counter(
            "taskflow_leases_lost_total",
            "Messages that somebody else may have run at the same time.",
            ["queue"],
        )
        self._given_back = Counter(
            "taskflow_messages_given_back_total",
            "Messages received and not run: the worker stopped, or had no thread for them.",
            ["queue"],
        )

    def expect(self, handlers: Iterable[str], queues: Iterable[str]) -> None:
        """Tell 0 of what has not happened yet: a series that begins at 1 has not risen, for
        Prometheus, and nobody would be told of the first dead letter."""
        for handler in handlers:
            self._runs.add(handler, "dead", by=0)
        for queue in queues:
            self._lost.add(queue, by=0)

    def started(self, job: Job) -> None:
        """A retry has waited on purpose, so only first attempts count."""
        delivery = job.delivery
        if delivery.receive_count == 1:
            self._waits.observe(max(0.0, self._clock.now() - delivery.sent_at), delivery.queue)

    def ended(self, job: Job, seconds: float) -> None:
        """Of every attempt; one that called no handler took no time worth telling."""
        word = outcome_word(job.outcome)
        self._runs.add(job.handler, word)
        if word not in ("duplicate", "skipped"):
            self._durations.observe(seconds, job.handler)

    def lost(self, job: Job) -> None:
        """Once of a message."""
        self._lost.add(job.delivery.queue)

    def given_back(self, job: Job) -> None:
        """No attempt is counted."""
        self._given_back.add(job.delivery.queue)

    def families(self) -> list[Family]:
        """All of it, as it is now."""
        return [
            self._waits.family(),
            self._durations.family(),
            *(one.family() for one in (self._runs, self._lost, self._given_back)),
        ]


def outcome_word(outcome: Outcome) -> str:
    """How an attempt ended, in one of six words. What is skipped was cancelled, has expired, or
    fits no run of a workflow; one that is suspended goes on later."""
    if isinstance(outcome, Done):
        if outcome.skipped is not None:
            return "suspended" if outcome.skipped == "suspended" else "skipped"
        return "duplicate" if outcome.duplicate else "done"
    return "retried" if isinstance(outcome, Retry) else "dead"
