"""The failure record of a dead letter: why it is one, as JSON in a message attribute."""

import json
from typing import Any

from taskflow.message import Delivery


def failure_record(
    reason: str, delivery: Delivery, attempts: int, failed_at: float, **more: Any
) -> dict[str, Any]:
    """What a dead letter says of itself; `more` is about its handler and the error. Times in epoch
    seconds."""
    return {
        "reason": reason,
        **more,
        "topic": delivery.topic,
        "queue": delivery.queue,
        "attempts": attempts,
        "sent_at": delivery.sent_at,
        "first_received_at": delivery.first_received_at,
        "failed_at": failed_at,
    }


def write_failure(reason: str, delivery: Delivery, attempts: int, failed_at: float) -> str:
    """The record of a failure that no handler raised."""
    return json.dumps(failure_record(reason, delivery, attempts, failed_at))


def never_finished(receives: int) -> str:
    """The reason of a message that was received too often."""
    return (
        f"received {receives} times and never finished: "
        "its worker was killed or lost its lease each time"
    )
