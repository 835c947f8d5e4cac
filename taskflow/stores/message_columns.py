"""Message attributes, and what only few messages have, as the JSON of two columns."""

from collections.abc import Mapping

import msgspec

from taskflow.message import NO_ATTRIBUTES, Attribute, Attributes, Message, Priority
from taskflow.wire.attribute_text import from_text, to_text


class Extra(msgspec.Struct, omit_defaults=True, gc=False):
    """The rare fields of a message. `failure` is not among them: it is an attribute."""

    group: str | None = None
    deduplication_id: str | None = None
    trace: str | None = None
    sender: str | None = None
    subject: str | None = None
    received: int = 0  # how often in the queues before, if it is a dead letter
    run: str | None = None
    expires_at: float | None = None
    priority: Priority | None = None
    headers: Mapping[str, str] = {}
    slot: str | None = None


NOTHING = Extra()
_read = msgspec.json.Decoder(Extra).decode
_write = msgspec.json.Encoder().encode


def write_extra(message: Message) -> str | None:
    """The column for a message; None when it has nothing of the kind."""
    if (
        message.trace is None
        and message.group is None
        and message.sender is None
        and message.subject is None
        and message.deduplication_id is None
        and message.run is None
        and message.expires_at is None
        and message.priority is None
        and message.slot is None
        and not message.headers
    ):
        return None
    return _write(
        Extra(
            message.group,
            message.deduplication_id,
            message.trace,
            message.sender,
            message.subject,
            0,
            message.run,
            message.expires_at,
            message.priority,
            message.headers,
            message.slot,
        )
    ).decode()


def read_extra(column: str | None) -> Extra:
    """What the column says."""
    return NOTHING if column is None else _read(column)


def with_received(column: str | None, received: int) -> str | None:
    """The column of a message that was received so often in the queues before."""
    extra = msgspec.structs.replace(read_extra(column), received=received)
    return None if extra == NOTHING else _write(extra).decode()


class _Typed(msgspec.Struct):
    type: str
    value: str


_read_attributes = msgspec.json.Decoder(dict[str, str | _Typed]).decode


def write_attributes(attributes: Attributes) -> str:
    """The column for attributes; binary values in base64."""
    return _write(
        {
            name: value if isinstance(value, str) else _Typed(*to_text(value))
            for name, value in attributes.items()
        }
    ).decode()


def read_attributes(column: str) -> Attributes:
    """What the column says."""
    if column == "{}":
        return NO_ATTRIBUTES
    return {
        name: value if isinstance(value, str) else _typed(value)
        for name, value in _read_attributes(column).items()
    }


def _typed(one: _Typed) -> str | Attribute:
    value = from_text(one.type, one.value)
    return Attribute(one.type, value) if isinstance(value, str) else value
