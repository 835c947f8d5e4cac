"""The failure record of a run: what a dead letter says of itself, as JSON."""

import json
from typing import Any

from taskflow.retry import Dead, describe
from taskflow.wire.failure_cause import place_of
from taskflow.wire.failure_record import failure_record
from taskflow.worker.job import Job


def failure_text(job: Job, outcome: Dead) -> str:
    """The failure record as JSON. Whatever a handler's exception is made of, its message gets one:
    a record that cannot be made must not keep its neighbours' outcomes back."""
    try:
        return json.dumps(_record(job, outcome))
    except BaseException as error:
        reason = f"failed, and its failure cannot be written: {type(error).__name__}"
        kind = type(outcome.error).__qualname__ if outcome.error else None
        delivery = job.delivery
        record = failure_record(reason, delivery, delivery.receive_count, job.ended_at, error=kind)
        return json.dumps(record)


def _record(job: Job, outcome: Dead) -> dict[str, Any]:
    """Times in epoch seconds."""
    attempts = job.delivery.receive_count
    if job.entry is not None:  # the receive that finds it worn out is no attempt
        attempts = min(attempts, job.policy.max_attempts)
    handler = job.entry.name if job.entry else None
    record = failure_record(outcome.reason, job.delivery, attempts, job.ended_at, handler=handler)
    if outcome.error is None:
        return record
    described = describe(outcome.error)
    # Here, since the traceback may be sealed where letters are counted by it.
    return record | described | {"place": place_of(described["traceback"])}
