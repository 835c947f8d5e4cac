"""Runs what is due in the test's own thread."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from taskflow.broker import Broker
from taskflow.middleware import Middleware
from taskflow.registry import Registry, default_registry
from taskflow.retry import Outcome
from taskflow.testing.manual_clock import ManualClock
from taskflow.worker.job import Job
from taskflow.worker.worker import Worker


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt that `drain` made. `at` in epoch seconds."""

    topic: str
    event_id: str
    queue: str
    handler: str
    attempt: int
    at: float
    outcome: Outcome


def drain(
    broker: Broker,
    registry: Registry = default_registry,
    queues: Iterable[str] = (),
    *,
    raise_errors: bool = True,
    advance: bool = False,
    middleware: Sequence[Middleware] = (),
) -> list[Run]:
    """Run every due message in this thread, those it causes too; answers the attempts in order.

    A handler's error is settled as in a worker and then raised here, unless `raise_errors` is
    False. With `advance`, a ManualClock jumps to the next due time until nothing is left: all
    retries happen, in no real time.
    """
    worker = Worker(broker, queues, registry=registry, middleware=middleware)
    runs: list[Run] = []
    while True:
        for jobs in iter(lambda: worker.step(limit=1), []):
            runs.append(_run(jobs[0]))
            if raise_errors and runs[-1].outcome.error is not None:
                raise runs[-1].outcome.error
        dues = [broker.next_due(*worker.queues), worker.tend()] if advance else []
        due = min((one for one in dues if one is not None), default=None)
        if due is None:
            return runs
        if not isinstance(broker.clock, ManualClock):
            raise TypeError("drain(advance=True) needs a broker on a ManualClock")
        broker.clock.set(due)


def _run(job: Job) -> Run:
    delivery = job.delivery
    return Run(
        delivery.topic,
        delivery.id,
        delivery.queue,
        job.handler,
        delivery.receive_count,
        job.ended_at,
        job.outcome,
    )
