"""What Lambda hands over of SQS: a batch of records, read into deliveries.

https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html#example-standard-queue-message-event
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from taskflow.brokers.aws.attribute_codec import (
    Carried,
    early_receives,
    put_carried,
    read_seconds,
    unpack,
)
from taskflow.brokers.aws.pointers import find_pointer
from taskflow.brokers.aws.receipts import Receipt
from taskflow.errors import ConfigError
from taskflow.message import Attribute, Delivery
from taskflow.wire.attribute_text import from_text
from taskflow.wire.message_attributes import write_sqs_attributes


class Received(NamedTuple):
    """A delivery, the id of its message on SQS, and when it is due (epoch seconds)."""

    message_id: str
    delivery: Delivery
    due: float


def read_event(
    event: Mapping[str, Any], queue: str, now: float, visible_at: float
) -> list[Received]:
    """The messages of a batch in their order, as the AWS broker would have received them at `now`.

    `queue` is our name of the queue; its name on AWS may begin with a prefix. Raises ConfigError
    for an event that is no batch of this queue.
    """
    records = event.get("Records") if isinstance(event, Mapping) else None
    if not isinstance(records, list):
        raise ConfigError(
            "the Lambda event has no Records: this function is for an event source of SQS"
        )
    return [_read(record, queue, now, visible_at) for record in records]


def _read(record: Mapping[str, Any], queue: str, now: float, visible_at: float) -> Received:
    if record.get("eventSource") != "aws:sqs":
        raise ConfigError(f"the event source is {record.get('eventSource')!r}, not aws:sqs")
    name = str(record.get("eventSourceARN", "")).rpartition(":")[2]
    if not _is_ours(name, queue):
        raise ConfigError(f"the messages are from queue {name!r}, this function is for {queue!r}")
    system = record["attributes"]
    given = (record.get("messageAttributes") or {}).items()
    carried, attributes = unpack(
        write_sqs_attributes({name: _read_attribute(value) for name, value in given})
    )
    pointer = find_pointer(record["body"], attributes)
    ours = carried or Carried(id=record["messageId"])
    first = read_seconds(system, "ApproximateFirstReceiveTimestamp", now)
    count = int(system.get("ApproximateReceiveCount") or 1) + ours.attempts
    count -= early_receives(ours.due, first)  # what came before it was due was no attempt
    delivery = Delivery(
        ours.id,
        ours.topic,
        record["body"],
        attributes,
        queue,
        Receipt(record["messageId"], now, record["receiptHandle"], pointer).write(),
        max(1, count),
        ours.sent or read_seconds(system, "SentTimestamp", now),
        max(first, ours.due),
        visible_at,
        sequence=int(system.get("SequenceNumber") or 0),
        group=system.get("MessageGroupId"),
        deduplication_id=ours.key or system.get("MessageDeduplicationId"),
        trace=system.get("AWSTraceHeader"),
        sender=ours.sender or system.get("SenderId"),
    )
    put_carried(delivery, ours)
    return Received(record["messageId"], delivery, ours.due)


def _is_ours(name: str, queue: str) -> bool:
    """Whether an AWS name is that of our queue, with or without a prefix, which ends in `-` or `_`
    (`shop-work` for `work`; not `network`)."""
    prefix = name.removesuffix(queue)
    return name.endswith(queue) and (not prefix or prefix[-1] in "-_")


def _read_attribute(value: Mapping[str, Any]) -> str | Attribute:
    """An attribute as Lambda has it: both values are there, binary ones in base64."""
    binary = value.get("binaryValue")
    text = value.get("stringValue") or "" if binary is None else binary
    return from_text(value["dataType"], text)
