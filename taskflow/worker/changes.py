"""Outcomes that an engine settles by a change: record, sends and acknowledgement in one."""

from collections.abc import Sequence

from taskflow.broker import Broker
from taskflow.broker.change import Change
from taskflow.engine import Ended
from taskflow.errors import BrokerError, BrokerUnavailable, LeaseLost
from taskflow.worker.answers import Answers
from taskflow.worker.job import Job

TRIES = 5  # of a change whose records somebody else keeps changing
Told = tuple[Job, Ended]


def tell_engines(broker: Broker, told: Sequence[Told], answers: Answers) -> list[Told]:
    """Settle those whose engine wants a change, all in one call; answers the others, which the
    broker's own verbs settle. Never raises what the broker raises."""
    plain: list[Told] = []
    asked: list[tuple[Told, BrokerError | None]] = [(one, None) for one in told]
    for left in reversed(range(TRIES)):
        changes: list[Change] = []
        changed: list[Told] = []
        for one, refusal in asked:
            job, ended = one
            assert job.engine is not None
            try:
                change = job.engine.settle(broker, ended, refusal)
            except BrokerUnavailable as error:
                answers.error = error
                answers.untold.append(job)
            except Exception as error:
                answers.refused.append((job, error))
            else:
                if change is None:
                    plain.append(one)
                else:
                    changes.append(change)
                    changed.append(one)
        if not changes or answers.error is not None:
            answers.untold += [job for job, _ in changed]
            break
        asked = []
        for one, refused in _apply(broker, changed, changes, answers):
            if left and not isinstance(refused, LeaseLost):
                asked.append((one, refused))
            elif isinstance(refused, LeaseLost):
                answers.lost.append(one[0])
            else:
                answers.refused.append((one[0], refused))
        if not asked:
            break
    return plain


def _apply(
    broker: Broker, told: Sequence[Told], changes: Sequence[Change], answers: Answers
) -> list[tuple[Told, BrokerError]]:
    """Make the changes; answers those that were refused."""
    try:
        applied = broker.apply(changes, durable=False)
    except BrokerUnavailable as error:
        answers.error = error
        answers.untold += [job for job, _ in told]
        return []
    except Exception as error:
        if len(changes) == 1:
            answers.refused.append((told[0][0], error))
            return []
        refused: list[tuple[Told, BrokerError]] = []
        for one, change in zip(told, changes, strict=True):
            refused += _apply(broker, [one], [change], answers)
        return refused
    refused = []
    for one, answer in zip(told, applied, strict=True):
        if answer.refused is not None:
            refused.append((one, answer.refused))
        elif all(answer.settled):
            answers.settled.append(one[0])
        else:
            answers.lost.append(one[0])
    return refused
