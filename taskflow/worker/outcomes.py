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
    done: list[tuple[Job, Finish]] = []
    retries: list[tuple[Job, tuple[Delivery, float]]] = []
    dead: list[tuple[Job, tuple[Delivery, str]]] = []
    for job in jobs:
        delivery = job.delivery
        match final(job, retention):
            case Done(duplicate=duplicate):
                window = job.subscription.window if job.subscription else 0.0
                done.append((job, Finish(delivery, 0.0 if duplicate else window)))
            case Retry(after=after):
                retries.append((job, (delivery, after)))
            case Dead() as outcome:
                dead.append((job, (delivery, failure_text(job, outcome))))
    answers = Answers()
    _call(broker.delete, done, answers)
    _call(broker.change_visibility, retries, answers)
    _call(broker.dead_letter, dead, answers)
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
    verb: Callable[[Sequence[T]], list[bool]], entries: Sequence[tuple[Job, T]], answers: Answers
) -> None:
    if not entries:
        return
    if answers.error is not None:
        answers.untold += [job for job, _ in entries]
        return
    try:
        oks = verb([entry for _, entry in entries])
    except BrokerUnavailable as error:
        answers.error = error
        answers.untold += [job for job, _ in entries]
    except Exception as error:
        if len(entries) == 1:
            answers.refused.append((entries[0][0], error))
            return
        for one in entries:
            _call(verb, [one], answers)
    else:
        for (job, _), ok in zip(entries, oks, strict=True):
            (answers.settled if ok else answers.lost).append(job)
