"""How a message of ours travels: what SNS and SQS have no place for goes into one attribute.

SNS discards a message with more than ten attributes on its way to a raw subscription, so ours is
one: `taskflow`, JSON with the event's id and topic, and where they are known: when it is due, how
often it was tried before, where a dead letter came from and why.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from taskflow.errors import LimitExceeded
from taskflow.limits import MAX_ATTRIBUTES, MAX_VISIBILITY
from taskflow.message import FAILURE, Attribute, Attributes, Delivery, Message, Priority
from taskflow.wire.attribute_text import from_text, to_text
from taskflow.wire.message_attributes import take_sqs_attributes, write_sqs_attributes

NAME = "taskflow"
MAX_USER_ATTRIBUTES = MAX_ATTRIBUTES - 1
LONGEST_HIDE = MAX_VISIBILITY - 60  # seconds; twelve hours count from the receive


class Carried(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What the attribute `taskflow` holds. Times in epoch seconds.

    `due`: not to be handled before. `sent`: when it was first sent, if this is a copy of it.
    `attempts`: of the copies before this one. `source`, `failure`: of a dead letter. `key`: its
    deduplication id where SQS has none or another. `run`, `expires`, `priority`, `headers` and
    `slot` as in Message. `empty`: names and types of attributes without a value, which AWS does not
    take. `more`: names, types and values of what was too many for a
    copy of somebody else's message, bytes in base64.
    """

    id: str
    topic: str = ""
    due: float = 0.0
    sent: float = 0.0
    attempts: int = 0
    source: str | None = None
    failure: str | None = None
    key: str | None = None
    sender: str | None = None
    run: str | None = None
    expires: float | None = None
    priority: Priority | None = None
    headers: Mapping[str, str] = {}
    slot: str | None = None
    empty: dict[str, str] = {}
    more: dict[str, tuple[str, str]] = {}


def carry_over(kept: Message | Delivery, **more: Any) -> Carried:
    """What a message, or a copy of one, must carry at least."""
    return Carried(
        id=kept.id,
        sender=kept.sender,
        run=kept.run,
        expires=kept.expires_at,
        priority=kept.priority,
        headers=kept.headers,
        slot=kept.slot,
        **more,
    )


def put_carried(delivery: Delivery, carried: Carried) -> None:
    """Give a received message what was carried with it and has no place of its own on AWS."""
    delivery.run, delivery.expires_at = carried.run, carried.expires
    delivery.priority, delivery.headers = carried.priority, carried.headers
    delivery.slot = carried.slot


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Carried).decode


@dataclass(frozen=True, slots=True)
class Parcel:
    """A message as it is sent: `id` is ours, `entry` the batch entry without its Id, `size` what
    AWS counts."""

    id: str
    entry: Mapping[str, Any]
    size: int


def pack(message: Message, carried: Carried, body_name: str, **more: Any) -> Parcel:
    """A message as a batch entry, its body under `body_name` (`Message`, `MessageBody`).

    Raises LimitExceeded for more attributes than fit beside ours.
    """
    attributes = {name: value for name, value in message.attributes.items() if name != FAILURE}
    if carried.failure is None and FAILURE in message.attributes:
        carried.failure = str(message.attributes[FAILURE])
    if len(attributes) > MAX_USER_ATTRIBUTES:
        raise LimitExceeded(
            f"{len(attributes)} message attributes; {MAX_USER_ATTRIBUTES} are allowed on AWS, "
            f"where taskflow's own ({NAME!r}) is the tenth"
        )
    if NAME in attributes:
        raise LimitExceeded(f"the message attribute {NAME!r} is taskflow's own on AWS")
    carried.empty = {
        name: value.type if isinstance(value, Attribute) else "String"
        for name, value in attributes.items()
        if not (value.value if isinstance(value, Attribute) else value)
    }
    full = {name: value for name, value in attributes.items() if name not in carried.empty}
    wire = write_sqs_attributes({**full, NAME: _encode(carried).decode()})
    size = len(message.body.encode()) + sum(map(_size, wire, wire.values()))
    entry = {body_name: message.body, "MessageAttributes": wire}
    entry |= {name: value for name, value in more.items() if value is not None}
    return Parcel(message.id, entry, size)


def _size(name: str, value: Mapping[str, Any]) -> int:
    content = value.get("BinaryValue") or value["StringValue"].encode()
    return len(name.encode()) + len(value["DataType"].encode()) + len(content)


def unpack(wire: Mapping[str, Mapping[str, Any]]) -> tuple[Carried | None, Attributes]:
    """What a received message carries of ours (None: it is not from taskflow), and its sender's
    attributes."""
    attributes = take_sqs_attributes({name: one for name, one in wire.items() if name != NAME})
    if NAME not in wire:
        return None, attributes
    try:
        carried = _decode(wire[NAME].get("StringValue") or "")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, attributes
    for name, (kind, text) in carried.more.items():
        attributes[name] = from_text(kind, text)
    for name, kind in carried.empty.items():
        attributes[name] = from_text(kind, "")
    return carried, attributes


def look_into(body: str) -> Carried | None:
    """What a message carries of ours that came through a subscription without raw delivery: there
    the attributes are in the SNS envelope that is its body."""
    if not body.startswith("{") or f'"{NAME}"' not in body:
        return None
    try:
        envelope = msgspec.json.decode(body)
        carried = _decode(envelope["MessageAttributes"][NAME]["Value"])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        return None
    return carried if envelope.get("Type") == "Notification" else None


def early_receives(due: float, first: float) -> int:
    """How often a message was received before it was due, when it was first received at `first`:
    each time it was hidden until then, or for as long as may be."""
    return math.ceil((due - first) / LONGEST_HIDE) if due > first else 0


def read_seconds(system: Mapping[str, str], name: str, default: float) -> float:
    """A system attribute in epoch milliseconds, as epoch seconds."""
    return int(system[name]) / 1000 if system.get(name) else default


def set_aside(attributes: dict[str, str | Attribute], carried: Carried) -> None:
    """Let `carried` take the attributes beyond those that fit beside ours."""
    for name in list(attributes)[MAX_USER_ATTRIBUTES:]:
        carried.more[name] = to_text(attributes.pop(name))
