"""What a request, an answer and a dialect are, whichever of AWS's two protocols they speak."""

import re
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote

from taskflow.wire.error_codes import WireError, common_error, missing_parameter
from taskflow.wire.shapes import ListOf, MapOf, Operation, Shape, Structure, load_services

# What ASGI calls a scope or a message, and how one is received.
AsgiEvent = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[AsgiEvent]]

_HOST = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
# The bounds of what the service models call an integer and a long.
BOUNDS = {"integer": 2**31, "long": 2**63}
# An empty batch is for the operation to refuse: AWS has an error of its own for it.
_BATCHES = frozenset({"Entries", "PublishBatchRequestEntries"})
_KINDS = {"string": str, "integer": int, "long": int, "boolean": bool, "blob": bytes}


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it came: `path` and `query` still percent-encoded, header names in small
    letters, in order. `server` is the host and port that it came to, `peer` the address it came
    from."""

    method: str
    scheme: str
    server: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    peer: str = ""
    _first: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Some twenty headers are asked for in the course of a request.
        object.__setattr__(self, "_first", dict(reversed(self.headers)))

    def header(self, name: str) -> str:
        """The first header of that name (small letters), or ''."""
        return self._first.get(name, "")

    def has_body(self) -> bool:
        """Whether its head says that a body follows."""
        return self.header("content-length").strip() not in ("", "0") or bool(
            self.header("transfer-encoding")
        )

    def with_body(self, body: bytes) -> "HttpRequest":
        """The same request with its body."""
        return HttpRequest(
            self.method,
            self.scheme,
            self.server,
            self.path,
            self.query,
            self.headers,
            body,
            self.peer,
        )


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer; the app adds Content-Length."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Dialect(Protocol):
    """One request's way of speaking. Every method but `refuse` raises WireError for a bad one."""

    def identify(self) -> tuple[str, str]:
        """(service, action) as named by the client; they may not exist."""
        ...

    def read(self, shape: Structure, defaults: Mapping[str, str]) -> dict[str, Any]:
        """The parameters as `shape` has them, blobs as bytes; unknown ones are left out.

        A `defaults` value stands in for a member that the shape has and the request has not.
        Call `identify` first.
        """
        ...

    def write(
        self, action: str, shape: Structure | None, result: Mapping[str, Any], request_id: str
    ) -> HttpResponse:
        """The answer. `result` has passed `check_result`."""
        ...

    def refuse(self, error: WireError, request_id: str) -> HttpResponse:
        """The answer that is an error. Works at any time."""
        ...


def read_head(scope: AsgiEvent) -> HttpRequest:
    """The request of an ASGI scope, still without its body."""
    raw = scope.get("raw_path")
    path = raw.partition(b"?")[0].decode("latin-1") if raw else quote(scope["path"])
    headers = tuple(
        (name.decode("latin-1").lower(), text.decode("latin-1")) for name, text in scope["headers"]
    )
    query = scope.get("query_string", b"").decode("latin-1")
    host, port = scope.get("server") or ("localhost", None)
    server = f"{host}:{port}" if port else host
    peer = (scope.get("client") or ("",))[0]
    scheme = scope.get("scheme", "http")
    return HttpRequest(scope["method"], scheme, server, path, query, headers, peer=peer)


def check_head(request: HttpRequest) -> str | None:
    """What is wrong with a head, that two readers could take differently; None when nothing is.

    https://www.rfc-editor.org/rfc/rfc9112#section-3.2
    """
    names = [name for name, _ in request.headers]
    if names.count("host") != 1:
        return "The request must have one Host header.\n"
    if names.count("transfer-encoding") > 1 or request.header("transfer-encoding").lower() not in (
        "",
        "chunked",
    ):
        return "The only transfer encoding understood is chunked.\n"
    return None


async def read_body(request: HttpRequest, receive: Receive, most: int) -> bytes | None:
    """The whole body; None when the client hung up before its end.

    WireError for one of more than `most` bytes, and for one that is not as long as it says.
    """
    declared = request.header("content-length").strip()
    if declared and not (declared.isascii() and declared.isdigit()):
        raise malformed("The Content-Length is not a number")
    declared = declared.lstrip("0") or declared[:1]  # int() refuses thousands of digits
    if declared and int(declared[:20]) > most:
        raise _too_large(most)
    chunks: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        more = message.get("more_body", False)
        if size > most:
            raise _too_large(most)
    if declared and int(declared) != size:
        raise malformed(f"The body has {size} bytes; Content-Length says {declared}")
    return b"".join(chunks)


def find_base(request: HttpRequest) -> str:
    """Scheme and host as the client wrote them, or as the server knows itself."""
    host = request.header("host")
    return f"{request.scheme}://{host if _HOST.fullmatch(host) else request.server}"


def _too_large(most: int) -> WireError:
    return common_error("RequestEntityTooLarge", f"The request is longer than {most} bytes")


def find_operation(service: str, action: str) -> Operation:
    """The operation of that name, else WireError InvalidAction."""
    known = load_services()[service]
    if action in known.excluded:
        text = f"Operation ({action}) is not supported in this region"
    elif found := known.operations.get(action):
        return found
    else:
        text = f"The action {action} is not valid for this endpoint."
    raise common_error("InvalidAction", text)


def check_method(request: HttpRequest, *allowed: str) -> None:
    """Raise WireError when the HTTP method is another."""
    if request.method not in allowed:
        raise common_error(
            "InvalidAction", f"The HTTP method {request.method} is not valid for this endpoint."
        )


def check_charset(request: HttpRequest) -> None:
    """Raise WireError when the body is in another encoding than UTF-8, or is compressed."""
    _, *options = request.header("content-type").split(";")
    for option in options:
        name, _, value = option.partition("=")
        if name.strip().lower() == "charset" and value.strip(" \"'").lower() not in _CHARSETS:
            raise malformed(f"The charset {value.strip()} is not supported")
    coding = request.header("content-encoding").strip().lower()
    if coding not in ("", "identity"):
        raise malformed(f"The content encoding {coding} is not supported")


_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


def malformed(text: str) -> WireError:
    """The request cannot be read."""
    return common_error("MalformedInput", text)


def read_blob(text: str) -> bytes:
    """The bytes of a base64 text, else WireError."""
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise malformed("A blob is not in base64") from None


def complete(
    shape: Structure, found: dict[str, Any], defaults: Mapping[str, str] = {}, path: str = ""
) -> dict[str, Any]:
    """`found` with `defaults` filled in, or WireError MissingParameter for what is required.

    `path` is put before the parameter's name in the error.
    """
    for member, value in defaults.items():
        if member in shape.members and not found.get(member):
            found[member] = value
    for member in shape.required:
        if member in found:
            continue
        if member not in _BATCHES:
            raise missing_parameter(path + (shape.names.get(member, member) if path else member))
        found[member] = []
    return found


def check_result(shape: Structure | None, result: Mapping[str, Any] | None) -> dict[str, Any]:
    """What an action answered without its Nones. TypeError when it does not fit the shape."""
    return _check(shape or Structure(), result or {}, "result")  # type: ignore[no-any-return]  # a structure yields a dict


def _check(shape: Shape, value: Any, path: str) -> Any:
    if isinstance(shape, str):
        if type(value) is not _KINDS[shape]:
            raise TypeError(f"{path} is {value!r}, which is no {shape}")
        return value
    wanted: Any = list | tuple if isinstance(shape, ListOf) else Mapping
    if not isinstance(value, wanted):
        raise TypeError(f"{path} is {value!r}, which is no {type(shape).__name__}")
    match shape:
        case Structure():
            if unknown := value.keys() - shape.members.keys():
                raise TypeError(f"{path} has no member {', '.join(sorted(unknown))}")
            members = shape.members
            return {  # most are text, for which a call would cost more than the look
                name: item
                if type(item) is str and members[name] == "string"
                else _check(members[name], item, f"{path}.{name}")
                for name, item in value.items()
                if item is not None
            }
        case ListOf():
            return [_check(shape.item, item, f"{path}[]") for item in value]
        case MapOf():
            return {
                _check("string", key, path): _check(shape.value, item, f"{path}[{key!r}]")
                for key, item in value.items()
            }
