"""The SQS action that receives: ReceiveMessage, and how a message is shown.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
"""

from collections.abc import Mapping, Set
from typing import Any

from taskflow.errors import LimitExceeded
from taskflow.limits import MAX_RECEIVE_WAIT, check_group, is_fifo
from taskflow.message import FAILURE, Attributes, Delivery
from taskflow.server.backend import Backend
from taskflow.server.sqs_attributes import KNOWN
from taskflow.server.sqs_settle import check_visibility
from taskflow.server.wire_call import Call, Result
from taskflow.wire.error_codes import invalid_value, service_error
from taskflow.wire.message_attributes import (
    md5_of_attributes,
    md5_of_body,
    write_sqs_attributes,
)

MAX_MESSAGES = 10

SYSTEM_ATTRIBUTES = frozenset(
    {
        "SenderId",
        "SentTimestamp",
        "ApproximateReceiveCount",
        "ApproximateFirstReceiveTimestamp",
        "SequenceNumber",
        "MessageDeduplicationId",
        "MessageGroupId",
        "AWSTraceHeader",
        "DeadLetterQueueSourceArn",
    }
)


class ReceiveActions:
    """One method per operation, and what they share."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._broker = backend.broker

    async def receive_message(self, call: Call) -> Result:
        params = call.params
        limit = _bounded(params, "MaxNumberOfMessages", 1, MAX_MESSAGES) or 1
        visibility = params.get("VisibilityTimeout")
        if visibility is not None:
            check_visibility(visibility)
        wait = params.get("WaitTimeSeconds")
        if wait is not None and not 0 <= wait <= MAX_RECEIVE_WAIT:
            raise invalid_value(wait, "WaitTimeSeconds", "Must be >= 0 and <= 20, if provided.")
        wanted = {*params.get("AttributeNames", ()), *params.get("MessageSystemAttributeNames", ())}
        for name in sorted(name for name in wanted if not is_message_attribute(name)):
            raise service_error("sqs", "InvalidAttributeName", f"Unknown Attribute {name}.")
        queue = self._backend.queue_of(call)
        if wait is None:
            wait = (await self._backend.run_short(self._broker.settings, queue)).receive_wait
        found = await self._poll(call, queue, limit, visibility, wait)
        names = frozenset(params.get("MessageAttributeNames", ()))
        return {"Messages": [self.show(one, wanted, names) for one in found] or None}

    async def _poll(
        self, call: Call, queue: str, limit: int, visibility: float | None, wait: float
    ) -> list[Delivery]:
        """Receive, waiting on the event loop. A client that has gone is lent nothing."""
        waiting, clock = self._backend.waiting, self._broker.clock
        until = call.now + wait
        attempt = _read_attempt(call.params, queue)
        was_parked = False
        while True:
            rung = waiting.rung(queue)
            found, due = await self._backend.run_short(
                self._take, queue, limit, visibility, attempt
            )
            if found and was_parked:  # who has just come is still there
                await waiting.catch_up()
            if found and call.gone.is_set():
                await self._backend.run(self._broker.give_back, found)
                return []
            if found:
                waiting.wake_next(queue)  # there may be more
                return found
            if waiting.closing or call.gone.is_set() or clock.now() >= until:
                return []
            await waiting.park(queue, rung, due, until, call.gone)
            if waiting.closing or call.gone.is_set():
                return []
            was_parked = True

    def _take(
        self, queue: str, limit: int, visibility: float | None, attempt: str | None
    ) -> tuple[list[Delivery], float | None]:
        """What is due, or when there is more."""

        def look() -> list[Delivery]:
            return self._broker.receive(queue, limit=limit, visibility=visibility, attempt=attempt)

        looked_at = self._broker.clock.now()
        if found := look():
            return found, None
        due = self._broker.next_due(queue)
        if self._broker.clock.now() == looked_at:
            return [], due
        return look(), due  # it may have become due after the one, and before the other

    def show(self, delivery: Delivery, wanted: Set[str], names: frozenset[str]) -> dict[str, Any]:
        """A message as it is answered, with the attributes that were asked for."""
        attributes = _chosen(delivery, names)
        system = self._system_attributes(delivery)
        if "All" not in wanted:
            system = {name: text for name, text in system.items() if name in wanted}
        return {
            "MessageId": delivery.id,
            "ReceiptHandle": delivery.receipt,
            "MD5OfBody": md5_of_body(delivery.body),
            "Body": delivery.body,
            "Attributes": system or None,
            "MD5OfMessageAttributes": md5_of_attributes(attributes) or None,
            "MessageAttributes": write_sqs_attributes(attributes) or None,
        }

    def _system_attributes(self, delivery: Delivery) -> dict[str, str]:
        fifo = is_fifo(delivery.queue)
        source = delivery.source
        found: dict[str, str | None] = {
            "SenderId": delivery.sender or self._backend.account,
            "SentTimestamp": _milliseconds(delivery.sent_at),
            "ApproximateReceiveCount": str(delivery.received_before + delivery.receive_count),
            "ApproximateFirstReceiveTimestamp": _milliseconds(delivery.first_received_at),
            "SequenceNumber": f"{delivery.sequence:020d}" if fifo else None,
            "MessageDeduplicationId": delivery.deduplication_id,
            "MessageGroupId": delivery.group,
            "AWSTraceHeader": delivery.trace,
            "DeadLetterQueueSourceArn": source and self._backend.arn_of_queue(source),
        }
        return {name: text for name, text in found.items() if text is not None}


def is_message_attribute(name: str) -> bool:
    """Whether a client may ask for it. The model lets clients name attributes of queues, too;
    messages have none of them."""
    return name in SYSTEM_ATTRIBUTES or name in KNOWN or name == "All"


def _bounded(params: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    value: int | None = params.get(name)
    if value is not None and not least <= value <= most:
        reason = f"Must be between {least} and {most}, if provided."
        raise invalid_value(value, name, reason)
    return value


def _read_attempt(params: Mapping[str, Any], queue: str) -> str | None:
    """The id of a receive that may be repeated. On a standard queue it means nothing, as on AWS."""
    attempt: str | None = params.get("ReceiveRequestAttemptId")
    if attempt is None or not is_fifo(queue):
        return None
    try:
        return check_group("ReceiveRequestAttemptId", attempt)
    except LimitExceeded:
        reason = "ReceiveRequestAttemptId can only include alphanumeric and punctuation characters."
        raise invalid_value(
            attempt, "ReceiveRequestAttemptId", f"{reason} 1 to 128 in length."
        ) from None


def _chosen(delivery: Delivery, names: frozenset[str]) -> Attributes:
    """The attributes a receive asks for: `All`, `*`, `.*`, by name, by prefix (`foo.*`).

    The failure record of a dead letter is ours, not the sender's: it comes when asked for by
    name.
    """
    everything = not {"All", "*", ".*"}.isdisjoint(names)
    prefixes = tuple(name[:-2] for name in names if name.endswith(".*"))
    return {
        name: value
        for name, value in delivery.attributes.items()
        if name in names
        or (
            (everything or name.startswith(prefixes))
            and not (name == FAILURE and delivery.source is not None)
        )
    }


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))
