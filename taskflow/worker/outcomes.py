"""How runs ended, as verbs of the broker: the one place where an outcome becomes one."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from taskflow.broker import Broker, Finish
from taskflow.engine import Ended
from taskflow.errors import BrokerUnavailable
from taskflow.message import Delivery
from taskflow.retry import Dead, Done, Outcome, Retry
from taskflow.worker.answers import Answers
from taskflow.worker.changes import tell_engines
from taskflow.worker.failure import failure_text
from taskflow.worker.job import Job

T = TypeVar("T")
Retention = Callable[[str], float]
"""How long (seconds) a queue of this name keeps a message."""


def tell(broker: Broker, jobs: Sequence[Job], retention: Retention) -> Answers:
    """Tell the broker how these ended, each kind in one call. What it refuses together, it is told
    one by one, so that none spoils another. Never raises what a verb raises."""
    done: list[Finish] = []
    retries: list[tuple[Delivery, float]] = []
    dead: list[tuple[Delivery, str]] = []
    by_kind: tuple[list[Job], list[Job], list[Job]] = ([], [], [])
    answers = Answers()
    engined: list[tuple[Job, Ended]] = []

    def sort(job: Job, outcome: Outcome, failure: str | None) -> None:
        if isinstance(outcome, Done):
            done.append(Finish(job.delivery, 0.0 if outcome.duplicate else job.window))
            by_kind[0].append(job)
        elif isinstance(outcome, Retry):
            retries.append((job.delivery, outcome.after))
            by_kind[1].append(job)
        else:
            assert failure is not None
            dead.append((job.delivery, failure))
            by_kind[2].append(job)

    for job in jobs:
        outcome = job.outcome
        if job.engine is None and type(outcome) is Done:  # as most are
            done.append(Finish(job.delivery, 0.0 if outcome.duplicate else job.window))
            by_kind[0].append(job)
            continue
        if isinstance(outcome, Retry):
            outcome = final(job, retention)
        failure = failure_text(job, outcome) if isinstance(outcome, Dead) else None
        if job.engine is None or job.found is None or job.engine.is_plain(job.found, outcome):
            sort(job, outcome, failure)
        else:
            engined.append((job, Ended(job.delivery, job.found, outcome, job.ended_at, failure)))
    for job, ended in tell_engines(broker, engined, answers) if engined else ():
        sort(job, ended.outcome, ended.failure)
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
