"""Copies of messages: what takes a message's place in a dead-letter queue, later, or once more."""

import json
from typing import Any

from taskflow.brokers.aws.attribute_codec import Carried, Parcel, carry_over, pack, set_aside
from taskflow.brokers.aws.pointers import SIZE, SIZES, sized
from taskflow.brokers.aws.receipts import read_receipt
from taskflow.limits import MAX_MESSAGE_BYTES, is_fifo
from taskflow.message import FAILURE, Delivery, Message


def carry(delivery: Delivery, **more: Any) -> Carried:
    """What a copy of a message must carry."""
    return carry_over(
        delivery,
        topic=delivery.topic,
        sent=delivery.sent_at,
        key=delivery.deduplication_id,
        **more,
    )


def copy(delivery: Delivery, carried: Carried, key: str | None = None, **more: Any) -> Parcel:
    """A copy of a message for SendMessageBatch; `key` is its deduplication id on a FIFO queue."""
    attributes = {name: value for name, value in delivery.attributes.items() if name != FAILURE}
    receipt, body = read_receipt(delivery.receipt), delivery.body
    if receipt is not None and receipt.payload and not any(name in attributes for name in SIZES):
        attributes[SIZE] = sized(body)  # the payload was fetched; the copy has the pointer again
        body = receipt.payload.body()
    set_aside(attributes, carried)
    message = Message(delivery.id, body, attributes)
    if delivery.trace is not None:
        header = {"DataType": "String", "StringValue": delivery.trace}
        more["MessageSystemAttributes"] = {"AWSTraceHeader": header}
    more["MessageGroupId"] = delivery.group
    if is_fifo(delivery.queue):
        more["MessageDeduplicationId"] = f"{key}-{receipt.message if receipt else delivery.id}"
    return pack(message, carried, "MessageBody", **more)


def as_letter(delivery: Delivery, failure: str) -> Parcel:
    """A message as a dead letter; its failure record is cut down when it would not fit."""
    for record in (failure, _short(failure)):
        carried = carry(delivery, source=delivery.queue, failure=record)
        letter = copy(delivery, carried, "dead")
        if letter.size <= MAX_MESSAGE_BYTES:
            return letter
    bare = carry(delivery, source=delivery.queue)
    return copy(delivery, bare, "dead")


def _short(failure: str) -> str:
    """A failure record without its traceback, which is the most of it."""
    try:
        record = json.loads(failure)
    except ValueError:
        return failure[:200]
    if isinstance(record, dict):
        record.pop("traceback", None)
        record = {name: str(value)[:500] for name, value in record.items()}
    return json.dumps(record)


def redriven(letter: Delivery) -> Parcel:
    """A dead letter as it goes back: it starts anew, sent now, without its failure record."""
    carried = carry_over(letter, topic=letter.topic, key=letter.deduplication_id)
    return copy(letter, carried, "again")
