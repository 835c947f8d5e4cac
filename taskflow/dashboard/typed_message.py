"""A message as somebody types it: where to, attributes a line each, a body."""

from collections.abc import Mapping, Sequence
from typing import Literal

from taskflow.broker.traffic import Traffic
from taskflow.dashboard.answer import Refused
from taskflow.errors import BrokerError
from taskflow.message import Attribute, Message, new_id
from taskflow.wire.error_codes import WireError
from taskflow.wire.message_attributes import read_sns_attributes, read_sqs_attributes


def read_target(text: str) -> tuple[Literal["queue", "topic"], str]:
    """The kind and the name in `queue:orders`. Raises Refused."""
    kind, _, name = text.partition(":")
    if not name or kind not in ("queue", "topic"):
        raise Refused(400, "Choose a queue or a topic to send to.")
    return ("queue" if kind == "queue" else "topic"), name


def read_message(fields: Mapping[str, str], broker: Traffic, sender: str) -> Message:
    """The message of a filled-in form. Raises Refused."""
    kind, _ = read_target(fields.get("to", ""))
    # Browsers send the line ends of a text field as CR LF.
    lines = fields.get("attributes", "").replace("\r\n", "\n").split("\n")
    try:
        return Message(
            new_id(broker.clock.now(), broker.random),
            fields.get("body", "").replace("\r\n", "\n"),
            read_attributes(lines, kind),
            group=fields.get("group", "").strip() or None,
            deduplication_id=fields.get("deduplication_id", "").strip() or None,
            sender=sender,
        )
    except BrokerError as error:
        raise Refused(400, sentence(error)) from None


def read_attributes(
    lines: Sequence[str], kind: Literal["queue", "topic"]
) -> dict[str, str | Attribute]:
    """The message attributes in lines such as `color=red` or `size:Number=7`; empty ones are left
    out. Raises Refused for what SQS (a queue) or SNS (a topic) would refuse."""
    given: dict[str, dict[str, str]] = {}
    for line in filter(str.strip, lines):
        left, equals, value = line.partition("=")
        name, _, type = (part.strip() for part in left.partition(":"))
        if not equals or not name:
            raise Refused(400, f"The attribute {line.strip()!r} is not written as name=value.")
        if name in given:
            raise Refused(400, f"The attribute {name!r} is there twice.")
        given[name] = {"DataType": type or "String", "StringValue": value.strip()}
    try:
        return read_sqs_attributes(given) if kind == "queue" else read_sns_attributes(given)
    except WireError as error:
        raise Refused(400, error.message) from None


def sentence(error: BrokerError) -> str:
    """What a broker refuses, as a sentence."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
