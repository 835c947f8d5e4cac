"""Things that many tests here need, made in one line."""

import json
from typing import Any

from taskflow import Broker, Event, RetryPolicy
from taskflow.message import FAILURE, Delivery, plain_text

FIXED = RetryPolicy(retries=2, backoff=1.0, jitter=False)


def cloud_event(**changes: Any) -> dict[str, Any]:
    """The least CloudEvents JSON there is, with changes; None takes a member out."""
    event = {"specversion": "1.0", "id": "e1", "source": "shop", "type": "made", **changes}
    return {name: value for name, value in event.items() if value is not None}


def delivery(
    body: str | dict[str, Any] | None = None, topic: str = "made", attempt: int = 1
) -> Delivery:
    """One receive of the message e1 from the queue `work`, sent at 900."""
    if not isinstance(body, str):
        body = json.dumps(cloud_event() if body is None else body)
    return Delivery("e1", topic, body, {}, "work", "1.1", attempt, 900.0, 950.0, 1030.0)


class Handler:
    """Fails the first `failures` times."""

    def __init__(self, failures: int = 0, error: BaseException | None = None) -> None:
        self.attempts: list[int] = []
        self.failures = failures
        self.error = error or ValueError("no such order")

    def __call__(self, event: Event[Any]) -> None:
        self.attempts.append(event.attempt)
        if len(self.attempts) <= self.failures:
            raise self.error


def failure(broker: Broker) -> dict[str, Any]:
    """The failure record of the one dead letter of `work`."""
    (letter,) = broker.peek("work-dlq")
    record: dict[str, Any] = json.loads(plain_text(letter.attributes[FAILURE]))
    return record
