"""Message attributes, and what only few messages have, as the JSON of two columns."""

from base64 import b64decode, b64encode

import msgspec

from taskflow.message import NO_ATTRIBUTES, Attribute, Attributes, Message


class Extra(msgspec.Struct, omit_defaults=True):
    """The rare fields of a message. `failure` is not among them: it is an attribute."""

    group: str | None = None
    deduplication_id: str | None = None
    trace: str | None = None
    sender: str | None = None
    subject: str | None = None
    received: int = 0  # how often in the queues before, if it is a dead letter


NOTHING = Extra()
_NONE = (None,) * 5
_read = msgspec.json.Decoder(Extra).decode
_write = msgspec.json.Encoder().encode


def write_extra(message: Message) -> str | None:
    """The column for a message; None when it has nothing of the kind."""
    rare = (message.group, message.deduplication_id, message.trace, message.sender, message.subject)
    return None if rare == _NONE else _write(Extra(*rare)).decode()


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
            name: value if isinstance(value, str) else _typed(value)
            for name, value in attributes.items()
        }
    ).decode()


def _typed(attribute: Attribute) -> _Typed:
    value = attribute.value
    return _Typed(attribute.type, value if isinstance(value, str) else b64encode(value).decode())


def read_attributes(column: str) -> Attributes:
    """What the column says."""
    if column == "{}":
        return NO_ATTRIBUTES
    return {
        name: value if isinstance(value, str) else _attribute(value)
        for name, value in _read_attributes(column).items()
    }


def _attribute(typed: _Typed) -> Attribute:
    binary = typed.type.partition(".")[0] == "Binary"
    return Attribute(typed.type, b64decode(typed.value) if binary else typed.value)
