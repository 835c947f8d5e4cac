"""The query protocol's way in: the fields of a form as the parameters of an operation.

https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
"""

import re
from binascii import a2b_qp
from collections.abc import Iterator, Mapping
from typing import Any

from taskflow.server.protocol import BOUNDS, HttpRequest, complete, malformed, read_blob
from taskflow.wire.error_codes import WireError, common_error
from taskflow.wire.shapes import ListOf, MapOf, Scalar, Shape, Structure

# A batch of ten messages with ten attributes each has 350 fields.
MAX_FIELDS = 5000
# Fields are split no deeper; the deepest shape needs seven levels.
_MAX_DEPTH = 12

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NUMBER = re.compile(r"-?[0-9]{1,19}")
_INDEX = re.compile(r"[0-9]{1,6}")


class _Node:
    """A field and what hangs below it: `A.1.B=c` is A, under it 1, under it B with text c."""

    __slots__ = ("children", "text")

    def __init__(self) -> None:
        self.text: str | None = None
        self.children: dict[str, _Node] = {}


def read_fields(request: HttpRequest) -> dict[str, str]:
    """The fields of a request, in its query and its body. Raises WireError."""
    fields = _read_form(request.query)
    if request.method == "POST":
        for name, text in _read_form(_text(request.body)).items():
            if fields.setdefault(name, text) != text:
                raise _bad_form(f"The parameter {name} is given twice")
    return fields


def _read_form(text: str) -> dict[str, str]:
    """The fields of a form or a query string; WireError for what is not one, in UTF-8."""
    pairs = [pair for pair in text.split("&") if pair]
    if len(pairs) > MAX_FIELDS:
        raise _bad_form(f"There are {len(pairs)} parameters; {MAX_FIELDS} are allowed")
    fields: dict[str, str] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        name = _decode(name)
        if fields.setdefault(name, text := _decode(value)) != text:
            raise _bad_form(f"The parameter {name} is given twice")
    return fields


def find_field(request: HttpRequest, name: str) -> str:
    """One short field, found without decoding the others; "" when it is not there."""
    wanted = re.compile(rf"(?:^|&){name}=([^&]{{0,100}})(?=&|$)")
    texts = [request.query]
    if request.method == "POST":
        texts.append(request.body.decode("latin-1"))
    found = [_decode(match[1]) for text in texts for match in wanted.finditer(text)]
    if len(set(found)) > 1:
        raise _bad_form(f"The parameter {name} is given twice")
    return found[0] if found else ""


def has_field(request: HttpRequest, name: str) -> bool:
    """Whether a field seems to be there; nothing is decoded."""
    return f"{name}=" in request.query or f"{name}=".encode() in request.body


def _decode(text: str) -> str:
    if "%" not in text and "+" not in text:
        return text
    if _BROKEN_ESCAPE.search(text):
        raise _bad_form("The query string contains a syntax error")
    # Quoted-printable is the same but for its sign, and is decoded at the speed of C.
    data = text.replace("+", " ").encode()
    return _text(a2b_qp(data.replace(b"=", b"%3D").replace(b"%", b"=")))


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _bad_form("The query string is not in UTF-8") from None


def _bad_form(text: str) -> WireError:
    return common_error("MalformedQueryString", text)


def _plant(fields: Mapping[str, str]) -> _Node:
    """The fields as a tree, along the dots of their names."""
    root = _Node()
    for name, text in fields.items():
        node = root
        for part in name.split(".", _MAX_DEPTH):
            node = node.children.setdefault(part, _Node())
        node.text = text
    return root


def read_parameters(
    shape: Structure, fields: Mapping[str, str], defaults: Mapping[str, str]
) -> dict[str, Any]:
    """The parameters of an operation, by its input shape. Raises WireError."""
    return complete(shape, _read_members(shape, _plant(fields), ""), defaults)


def _read_members(shape: Structure, node: _Node, path: str) -> dict[str, Any]:
    found = {}
    for name, item in shape.members.items():
        wire = shape.names.get(name, name)
        # Some clients spell a flattened member as JSON does: Attributes.1.Name.
        child = node.children.get(wire) or node.children.get(name)
        if child is not None and (value := _read(item, child, path + wire)) is not None:
            found[name] = value
    return found


def _read(shape: Shape, node: _Node, path: str) -> Any:
    """The value of a node; None when the node says nothing that the shape has."""
    match shape:
        case Structure():
            if node.text:
                raise malformed(f"{path} is not a structure")
            return complete(shape, _read_members(shape, node, f"{path}."), path=f"{path}.")
        case ListOf():
            # An empty list is the bare name with nothing behind it; one item may go unnumbered.
            if node.text is not None and not node.children:
                return [_read(shape.item, node, path)] if node.text else []
            return [_read_item(shape.item, one, f"{path}.{i}") for i, one in _number(shape, node)]
        case MapOf():
            pairs = [_read_pair(shape, one, f"{path}.{i}") for i, one in _number(shape, node)]
            return dict(pairs)
    return None if node.text is None else _read_scalar(shape, node.text, path)


def _number(shape: ListOf | MapOf, node: _Node) -> Iterator[tuple[int, _Node]]:
    """The numbered nodes below, in order, whether or not `member` or `entry` comes before them."""
    inner = shape.name if isinstance(shape, ListOf) else "entry"
    for name in (inner, "member", "entry"):
        node = node.children.get(name, node)
    # Attribute.Name=a&Attribute.Value=b, as in SQS's own examples: one pair, not numbered.
    if isinstance(shape, MapOf) and node.children.keys() & {*shape.names, "key", "value"}:
        yield 1, node
        return
    for name in node.children:
        if not _INDEX.fullmatch(name):
            raise malformed(f"{name} is not a number of a list or map")
    yield from sorted((int(name), child) for name, child in node.children.items())


def _read_item(shape: Shape, node: _Node, path: str) -> Any:
    value = _read(shape, node, path)
    if value is None:
        raise malformed(f"{path} has no value")
    return value


def _read_pair(shape: MapOf, node: _Node, path: str) -> tuple[str, Any]:
    nodes = []
    for wire, other in zip(shape.names, ("key", "value"), strict=True):
        child = node.children.get(wire) or node.children.get(other)
        if child is None:
            raise malformed(f"{path} has no {wire}")
        nodes.append(child)
    key = _read_item("string", nodes[0], f"{path}.{shape.names[0]}")
    return key, _read_item(shape.value, nodes[1], f"{path}.{shape.names[1]}")


def _read_scalar(kind: Scalar, text: str, path: str) -> Any:
    match kind:
        case "string":
            return text
        case "blob":
            return read_blob(text)
        case "boolean" if text.lower() in ("true", "false"):
            return text.lower() == "true"
        case "integer" | "long" if _NUMBER.fullmatch(text):
            number = int(text)
            if -BOUNDS[kind] <= number < BOUNDS[kind]:
                return number
    raise malformed(f"The value {text} of {path} is no {kind}")
