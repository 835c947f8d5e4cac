"""The query protocol's way out: the result of an operation as XML."""

import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any

from taskflow.wire.shapes import ListOf, MapOf, Scalar, Shape, Structure

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#xD;"}
_ESCAPED = re.compile('[&<>"\r]|[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]')


def escape(text: str) -> str:
    """Text inside an XML element. What XML 1.0 cannot hold in any form becomes U+FFFD."""
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found[0], "\ufffd"), text)


def element(name: str, inner: str) -> str:
    """An element around what is written already."""
    return f"<{name}>{inner}</{name}>" if inner else f"<{name}/>"


def write_members(shape: Structure, value: Mapping[str, Any]) -> Iterator[str]:
    """What a structure holds, each member as an element."""
    for name, item in value.items():
        yield _write(shape.members[name], item, shape.names.get(name, name))


def _write(shape: Shape, value: Any, name: str) -> str:
    match shape:
        case Structure():
            return element(name, "".join(write_members(shape, value)))
        case ListOf():
            inner = [_write(shape.item, one, shape.name) for one in value]
            return "".join(inner) if shape.flattened else element(name, "".join(inner))
        case MapOf():
            entry = name if shape.flattened else "entry"
            inner = [
                element(
                    entry,
                    _write("string", key, shape.names[0])
                    + _write(shape.value, one, shape.names[1]),
                )
                for key, one in value.items()
            ]
            return "".join(inner) if shape.flattened else element(name, "".join(inner))
    return element(name, _write_scalar(shape, value))


def _write_scalar(kind: Scalar, value: Any) -> str:
    match kind:
        case "boolean":
            return "true" if value else "false"
        case "blob":
            return b64encode(value).decode()
    return escape(str(value))
