"""The query protocol: form fields in, XML out. All of SNS and STS, and older SDKs' SQS.

https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
"""

import re
from base64 import b64encode
from binascii import a2b_qp
from collections.abc import Iterator, Mapping
from typing import Any

from taskflow.server.protocol import (
    BOUNDS,
    HttpRequest,
    HttpResponse,
    check_charset,
    check_method,
    complete,
    malformed,
    read_blob,
)
from taskflow.wire.error_codes import WireError, common_error
from taskflow.wire.names import parse_queue_path
from taskflow.wire.shapes import ListOf, MapOf, Scalar, Shape, Structure, load_services

# A batch of ten messages with ten attributes each has 350 fields.
MAX_FIELDS = 5000
# Sent to a queue's URL, these are refused.
_NOT_OF_A_QUEUE = frozenset({"CreateQueue", "ListQueues"})
# Fields are split no deeper; the deepest shape needs seven levels.
_MAX_DEPTH = 12

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_NUMBER = re.compile(r"-?[0-9]{1,19}")
_INDEX = re.compile(r"[0-9]{1,6}")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#xD;"}
_ESCAPED = re.compile('[&<>"\r]|[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]')


class Node:
    """A field and what hangs below it: `A.1.B=c` is A, under it 1, under it B with text c."""

    __slots__ = ("children", "text")

    def __init__(self) -> None:
        self.text: str | None = None
        self.children: dict[str, Node] = {}


class QueryDialect:
    """One request in the query protocol; `taskflow.server.protocol.Dialect` is the contract.

    `signed` is the service that the request's signature is for, if it has one.
    """

    def __init__(self, request: HttpRequest, signed: str | None) -> None:
        self._request = request
        self._signed = signed if signed in load_services() else None
        self._service = self._signed or "sqs"

    def identify(self) -> tuple[str, str]:
        request = self._request
        check_method(request, "GET", "POST")
        check_charset(request)
        # What is asked for is found before anything else is decoded: nobody has been asked for a
        # signature yet.
        fields = {name: _find_field(request, name) for name in ("Action", "Version")}
        if _has_field(request, "TopicArn"):
            fields["TopicArn"] = ""
        self._service = self._signed or self._find_service(fields)
        if not fields.get("Action"):
            raise common_error("MissingAction", "The request must contain the parameter Action.")
        if fields["Action"] in _NOT_OF_A_QUEUE and parse_queue_path(request.path):
            text = f"The action {fields['Action']} is not valid for this endpoint."
            raise common_error("InvalidAction", text)
        return self._service, fields["Action"]

    def _read_fields(self) -> dict[str, str]:
        request = self._request
        fields = read_form(request.query)
        if request.method == "POST":
            for name, text in read_form(_text(request.body)).items():
                if fields.setdefault(name, text) != text:
                    raise _bad_form(f"The parameter {name} is given twice")
        return fields

    def _find_service(self, fields: Mapping[str, str]) -> str:
        services = load_services()
        for name, service in services.items():
            if fields.get("Version") == service.version:
                return name
        action = fields.get("Action", "")
        having = [name for name, one in services.items() if action in one.operations]
        # AddPermission and RemovePermission are in SQS and in SNS.
        if len(having) > 1 and "TopicArn" in fields and not parse_queue_path(self._request.path):
            return "sns"
        having += [name for name, one in services.items() if action in one.excluded]
        return having[0] if having else self._service

    def read(self, shape: Structure, defaults: Mapping[str, str]) -> dict[str, Any]:
        root = plant(self._read_fields())
        return complete(shape, _read_members(shape, root, ""), defaults)

    def write(
        self, action: str, shape: Structure | None, result: Mapping[str, Any], request_id: str
    ) -> HttpResponse:
        inner = ""
        if shape is not None:
            inner = _element(f"{action}Result", "".join(_write_members(shape, result)))
        inner += _element("ResponseMetadata", _element("RequestId", escape(request_id)))
        return self._answer(200, f"{action}Response", inner, request_id)

    def refuse(self, error: WireError, request_id: str) -> HttpResponse:
        message = error.message
        if error.shape == "QueueDoesNotExist" and self._service == "sqs":
            message = message.removesuffix(".") + " for this wsdl version."
        inner = _element("Type", "Sender" if error.sender else "Receiver")
        inner += _element("Code", escape(error.code)) + _element("Message", escape(message))
        if self._service == "sqs":
            inner += "<Detail/>"
        inner = _element("Error", inner) + _element("RequestId", escape(request_id))
        return self._answer(error.status, "ErrorResponse", inner, request_id)

    def _answer(self, status: int, root: str, inner: str, request_id: str) -> HttpResponse:
        space = load_services()[self._service].namespace
        text = f'<?xml version="1.0"?>\n<{root} xmlns="{space}">{inner}</{root}>\n'
        headers = (("x-amzn-requestid", request_id), ("content-type", "text/xml"))
        return HttpResponse(status, headers, text.encode())


# ---- in -----------------------------------------------------------------------------------------
def read_form(text: str) -> dict[str, str]:
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


def _find_field(request: HttpRequest, name: str) -> str:
    """One short field, found without decoding the others; "" when it is not there."""
    wanted = re.compile(rf"(?:^|&){name}=([^&]{{0,100}})(?=&|$)")
    texts = [request.query]
    if request.method == "POST":
        texts.append(request.body.decode("latin-1"))
    found = [_decode(match[1]) for text in texts for match in wanted.finditer(text)]
    if len(set(found)) > 1:
        raise _bad_form(f"The parameter {name} is given twice")
    return found[0] if found else ""


def _has_field(request: HttpRequest, name: str) -> bool:
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


def plant(fields: Mapping[str, str]) -> Node:
    """The fields as a tree, along the dots of their names."""
    root = Node()
    for name, text in fields.items():
        node = root
        for part in name.split(".", _MAX_DEPTH):
            node = node.children.setdefault(part, Node())
        node.text = text
    return root


def _read_members(shape: Structure, node: Node, path: str) -> dict[str, Any]:
    found = {}
    for name, item in shape.members.items():
        wire = shape.names.get(name, name)
        # Some clients spell a flattened member as JSON does: Attributes.1.Name.
        child = node.children.get(wire) or node.children.get(name)
        if child is not None and (value := _read(item, child, path + wire)) is not None:
            found[name] = value
    return found


def _read(shape: Shape, node: Node, path: str) -> Any:
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


def _number(shape: ListOf | MapOf, node: Node) -> Iterator[tuple[int, Node]]:
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


def _read_item(shape: Shape, node: Node, path: str) -> Any:
    value = _read(shape, node, path)
    if value is None:
        raise malformed(f"{path} has no value")
    return value


def _read_pair(shape: MapOf, node: Node, path: str) -> tuple[str, Any]:
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


# ---- out ----------------------------------------------------------------------------------------
def escape(text: str) -> str:
    """Text inside an XML element. What XML 1.0 cannot hold in any form becomes U+FFFD."""
    return _ESCAPED.sub(lambda found: _ESCAPES.get(found[0], "\ufffd"), text)


def _element(name: str, inner: str) -> str:
    return f"<{name}>{inner}</{name}>" if inner else f"<{name}/>"


def _write_members(shape: Structure, value: Mapping[str, Any]) -> Iterator[str]:
    for name, item in value.items():
        yield _write(shape.members[name], item, shape.names.get(name, name))


def _write(shape: Shape, value: Any, name: str) -> str:
    match shape:
        case Structure():
            return _element(name, "".join(_write_members(shape, value)))
        case ListOf():
            inner = [_write(shape.item, one, shape.name) for one in value]
            return "".join(inner) if shape.flattened else _element(name, "".join(inner))
        case MapOf():
            entry = name if shape.flattened else "entry"
            inner = [
                _element(
                    entry,
                    _write("string", key, shape.names[0])
                    + _write(shape.value, one, shape.names[1]),
                )
                for key, one in value.items()
            ]
            return "".join(inner) if shape.flattened else _element(name, "".join(inner))
    return _element(name, _write_scalar(shape, value))


def _write_scalar(kind: Scalar, value: Any) -> str:
    match kind:
        case "boolean":
            return "true" if value else "false"
        case "blob":
            return b64encode(value).decode()
    return escape(str(value))
