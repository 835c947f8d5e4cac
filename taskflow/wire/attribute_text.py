"""Message attributes where only text goes: SNS envelopes, Lambda events, columns of a store."""

from typing import TYPE_CHECKING

from taskflow.later import Later
from taskflow.message import Attribute

if TYPE_CHECKING:
    import base64
else:
    base64 = Later("base64")


def to_text(value: str | Attribute) -> tuple[str, str]:
    """(type, value) of an attribute where only text goes: bytes in base64."""
    if isinstance(value, str):
        return "String", value
    content = value.value
    if isinstance(content, bytes):
        content = base64.b64encode(content).decode()
    return value.type, content


def from_text(kind: str, text: str) -> str | Attribute:
    """The attribute of a type and a value that `to_text` wrote."""
    if kind == "String":
        return text
    binary = kind.partition(".")[0] == "Binary"
    return Attribute(kind, base64.b64decode(text) if binary else text)
