"""The failure record: what a dead letter says of itself, as JSON."""

import json
from typing import Any

from taskflow.retry import Dead, describe
from taskflow.worker.job import Job


def failure_text(job: Job, outcome: Dead) -> str:
    """The failure record as JSON. Whatever a handler's exception is made of, its message gets one:
    a record that cannot be made must not keep its neighbours' outcomes back."""
    try:
        return json.dumps(_record(job, outcome))
    except BaseException as error:
        delivery = job.delivery
        return json.dumps(
            {
                "reason": f"failed, and its failure cannot be written: {type(error).__name__}",
                "error": type(outcome.error).__qualname__ if outcome.error else None,
                "topic": delivery.topic,
                "queue": delivery.queue,
                "attempts": delivery.receive_count,
                "sent_at": delivery.sent_at,
                "failed_at": job.ended_at,
            }
        )


def _record(job: Job, outcome: Dead) -> dict[str, Any]:
    """Times in epoch seconds."""
    delivery = job.delivery
    attempts = delivery.receive_count
    if job.subscription is not None:  # the receive that finds it worn out is no attempt
        attempts = min(attempts, job.subscription.max_attempts)
    record = {
        "reason": outcome.reason,
        "handler": job.subscription.name if job.subscription else None,
        "topic": delivery.topic,
        "queue": delivery.queue,
        "attempts": attempts,
        "sent_at": delivery.sent_at,
        "first_received_at": delivery.first_received_at,
        "failed_at": job.ended_at,
    }
    return record if outcome.error is None else record | describe(outcome.error)
