"""The failure record of a dead letter: why it is one, as JSON in a message attribute."""

import json
from typing import Any

from taskflow.message import Delivery

_END = 253402300799.0  # 9999-12-31T23:59:59Z, the last that RFC 3339 can write


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


def read_failure(text: str) -> dict[str, Any] | None:
    """The failure record in a text, None where it is none. Anybody may send an attribute of that
    name: times that none can be are left out, other values are whatever they are."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    return {name: one for name, one in found.items() if not name.endswith("_at") or _is_time(one)}


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _END


def never_finished(receives: int) -> str:
    """The reason of a message that was received too often."""
    return (
        f"received {receives} times and never finished: "
        "its worker was killed or lost its lease each time"
    )
