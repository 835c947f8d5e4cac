"""How runs ended, as verbs of the broker: the one place where an outcome becomes one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from taskflow.broker import Broker, Finish
from taskflow.errors import BrokerUnavailable
from taskflow.message import Delivery
from taskflow.retry import Dead, Done, Outcome, Retry
from taskflow.worker.failure import failure_text
from taskflow.worker.job import Job

T = TypeVar("T")
Retention = Callable[[str], float]
"""How long (seconds) a queue of this name keeps a message."""


@dataclass(slots=True)
class Answers:
    """What the broker said of each job."""

    settled: list[Job] = field(default_factory=list)
    """It knows now."""
    lost: list[Job] = field(default_factory=list)
    """The lease was lost before: the message runs again elsewhere."""
    refused: list[tuple[Job, Exception]] = field(default_factory=list)
    """It refuses for good: they come back when their leases end."""
    untold: list[Job] = field(default_factory=list)
    """It cannot be used now (`error`): they are to be told again."""
    error: BrokerUnavailable | None = None


def tell(broker: Broker, jobs: Sequence[Job], retention: Retention) -> Answers:
    """Tell the broker how these ended, each kind in one call. What it refuses together, it is told
    one by one, so that none spoils another. Never raises what a verb raises."""
    done: list[Finish] = []
    retries: list[tuple[Delivery, float]] = []
    dead: list[tuple[Delivery, str]] = []
    by_kind: tuple[list[Job], list[Job], list[Job]] = ([], [], [])
    for job in jobs:
        outcome = job.outcome
        if isinstance(outcome, Retry):
            outcome = final(job, retention)
        match outcome:
            case Done(duplicate=duplicate):
                window = job.subscription.window if job.subscription else 0.0
                done.append(Finish(job.delivery, 0.0 if duplicate else window))
                by_kind[0].append(job)
            case Retry(after=after):
                retries.append((job.delivery, after))
                by_kind[1].append(job)
            case Dead():
                dead.append((job.delivery, failure_text(job, outcome)))
                by_kind[2].append(job)
    answers = Answers()
    _call(broker.delete, done, by_kind[0], answers)
    _call(broker.change_visibility, retries, by_kind[1], answers)
    _call(broker.dead_letter, dead, by_kind[2], answers)
    return answers


def final(job: Job, retention: Retention) -> Outcome:
    """Its outcome; but a retry that the queue would drop before it is due is a dead letter."""
    outcome, delivery = job.outcome, job.delivery
    if isinstance(outcome, Retry):
        kept = retention(delivery.queue)
        if job.ended_at + outcome.after >= delivery.sent_at + kept:
            return Dead(
                f"its next try, after {outcome.after:g} s, would pass the retention of queue "
                f"{delivery.queue!r} ({kept:g} s)",
                outcome.error,
            )
    return outcome


def _call(
    verb: Callable[[Sequence[T]], list[bool]],
    entries: Sequence[T],
    jobs: Sequence[Job],
    answers: Answers,
) -> None:
    if not entries:
        return
    if answers.error is not None:
        answers.untold += jobs
        return
    try:
        oks = verb(entries)
    except BrokerUnavailable as error:
        answers.error = error
        answers.untold += jobs
    except Exception as error:
        if len(jobs) == 1:
            answers.refused.append((jobs[0], error))
            return
        for entry, job in zip(entries, jobs, strict=True):
            _call(verb, [entry], [job], answers)
    else:
        if all(oks):
            answers.settled += jobs
            return
        for job, ok in zip(jobs, oks, strict=True):
            (answers.settled if ok else answers.lost).append(job)
