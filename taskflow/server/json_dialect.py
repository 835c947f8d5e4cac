"""AWS JSON 1.0, which today's SDKs speak to SQS: the action in a header, JSON both ways.

https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
https://smithy.io/2.0/aws/protocols/aws-query-protocol.html (for what the error header carries)
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import msgspec

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
from taskflow.wire.error_codes import COMMON, WireError
from taskflow.wire.shapes import ListOf, MapOf, Scalar, Shape, Structure, load_services

CONTENT_TYPE = "application/x-amz-json-1.0"
_TARGET = "AmazonSQS"
_WANTED = {
    "string": "a String",
    "integer": "an Integer",
    "long": "a Long",
    "boolean": "a Boolean",
    "blob": "a Blob",
}


class JsonDialect:
    """One request in JSON; `taskflow.server.protocol.Dialect` is the contract."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    @staticmethod
    def speaks(request: HttpRequest) -> bool:
        """Whether a request is in this dialect: by its target header, else its content type."""
        kind = request.header("content-type").partition(";")[0].strip().lower()
        return bool(request.header("x-amz-target")) or kind.startswith("application/x-amz-json-")

    def identify(self) -> tuple[str, str]:
        check_method(self._request, "POST")
        prefix, _, action = self._request.header("x-amz-target").partition(".")
        # Another service's target is an unknown operation of this one.
        return "sqs", action if prefix == _TARGET else f"{prefix}.{action}".strip(".")

    def read(self, shape: Structure, defaults: Mapping[str, str]) -> dict[str, Any]:
        check_charset(self._request)
        try:
            data = msgspec.json.decode(self._request.body or b"{}")
        except (msgspec.DecodeError, ValueError, RecursionError):
            raise malformed("The body is not valid JSON") from None
        if not isinstance(data, dict):
            raise malformed("The body is not a JSON object")
        return complete(shape, _read_members(shape, data), defaults)

    def write(
        self, action: str, shape: Structure | None, result: Mapping[str, Any], request_id: str
    ) -> HttpResponse:
        return _answer(200, plain(result), request_id)

    def refuse(self, error: WireError, request_id: str) -> HttpResponse:
        return refuse(error, request_id)


def refuse(error: WireError, request_id: str) -> HttpResponse:
    """The answer that tells an error."""
    shape = error.shape or COMMON.get(error.code, (error.code,))[0]
    known = shape in load_services()["sqs"].errors
    space = "com.amazonaws.sqs" if known else "com.amazon.coral.service"
    body = {"__type": f"{space}#{shape}", "message": error.message}
    fault = "Sender" if error.sender else "Receiver"
    header = ("x-amzn-query-error", f"{error.code};{fault}")
    return _answer(error.status, body, request_id, header)


def _answer(status: int, body: Any, request_id: str, *more: tuple[str, str]) -> HttpResponse:
    headers = (("x-amzn-requestid", request_id), ("content-type", CONTENT_TYPE), *more)
    return HttpResponse(status, headers, msgspec.json.encode(body))


def _read_members(shape: Structure, data: dict[str, Any]) -> dict[str, Any]:
    return {  # most are text, which needs no second look
        name: value if item == "string" and type(value) is str else _read(item, value)
        for name, item in shape.members.items()
        if (value := data.get(name)) is not None
    }


def _read(shape: Shape, value: Any) -> Any:
    match shape:
        case Structure() if isinstance(value, dict):
            return complete(shape, _read_members(shape, value))
        case ListOf() if isinstance(value, list):
            return [_read(shape.item, item) for item in value]
        case MapOf() if isinstance(value, dict):
            return {key: _read(shape.value, item) for key, item in value.items()}
        case Structure() | ListOf() | MapOf():
            raise malformed("Unexpected field type")
    return _read_scalar(shape, value)


def _read_scalar(kind: Scalar, value: Any) -> Any:
    if isinstance(value, dict):
        raise malformed("Start of structure or map found where not expected.")
    if isinstance(value, list):
        raise malformed("Start of list found where not expected")
    if kind in BOUNDS:
        fits = type(value) is int and -BOUNDS[kind] <= value < BOUNDS[kind]
    else:
        fits = isinstance(value, bool if kind == "boolean" else str)
    if not fits:
        raise malformed(f"{_token(value)} can not be converted to {_WANTED[kind]}")
    return read_blob(value) if kind == "blob" else value


def _token(value: Any) -> str:
    match value:
        case None | True | False:
            return {None: "NULL", True: "TRUE", False: "FALSE"}[value] + "_VALUE"
        case str():
            return "STRING_VALUE"
        case int():
            return "NUMBER_VALUE"
    return "DECIMAL_VALUE"


def plain(value: Any) -> Any:
    """As JSON has it: blobs in base64, and no empty member, which AWS leaves out too."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {
            key: item if type(item) is str else plain(item)
            for key, item in value.items()
            if item or item not in ([], {})
        }
    return value
