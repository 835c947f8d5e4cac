"""What a request says about its own signature, in a header or in the query; nothing is proven.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from taskflow.server.auth_error import AuthError, incomplete
from taskflow.server.canonical import split_query

ALGORITHM = "AWS4-HMAC-SHA256"
MAX_EXPIRES = 7 * 86400
_PRESIGNED = ("Algorithm", "Credential", "Date", "SignedHeaders", "Signature")


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request as it came over the wire.

    `path` and `query` are still percent-encoded; header names are in lower case. Every text is
    its bytes read as Latin-1, as ASGI servers do.
    """

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says about its own signature; nothing here is proven."""

    credential: str
    date: str
    signed_headers: tuple[str, ...]
    signature: str
    presigned: bool
    expires: int | None = None


def scope_of(request: Request) -> tuple[str, str, str] | None:
    """The access key id, region and service that a request names; nothing is verified.

    None when it is not signed, or not in a way that can be read. For a server without keys.
    """
    try:
        return read_scope(request)
    except AuthError:
        return None


def read_scope(request: Request) -> tuple[str, str, str]:
    """As `scope_of`; raises AuthError that says what is wrong with the signature's form."""
    access_key_id, _, region, service, _ = split_credential(read_claim(request).credential)
    return access_key_id, region, service


def read_claim(request: Request) -> Claim:
    """The claim in the Authorization header, else the one in the query. Raises AuthError."""
    found = [value for name, value in request.headers if name == "authorization"]
    if len(found) > 1:
        raise incomplete("More than one Authorization header.")
    return _in_header(request, found[0]) if found else _in_query(request)


def _in_header(request: Request, text: str) -> Claim:
    algorithm, _, rest = text.strip().partition(" ")
    if algorithm != ALGORITHM:
        raise incomplete(f"The Authorization header does not start with '{ALGORITHM}'.")
    pairs = [part.strip().partition("=") for part in rest.split(",") if part.strip()]
    parameters = {name: value for name, _, value in pairs}
    dates = [value.strip() for name, value in request.headers if name == "x-amz-date"]
    missing = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not parameters.get(name)
    ]
    if not dates:
        missing.append("Authorization header requires existence of a 'X-Amz-Date' header.")
    if len(pairs) > len(parameters) or len(dates) > 1:
        missing.append("A parameter or the date is given twice.")
    if missing:
        raise incomplete(" ".join(missing))
    return Claim(
        parameters["Credential"],
        dates[0],
        _split_names(parameters["SignedHeaders"]),
        parameters["Signature"],
        presigned=False,
    )


def _in_query(request: Request) -> Claim:
    pairs = [
        (name.decode("latin-1")[6:], value.decode("latin-1"))
        for name, value in split_query(request.query)
        if name.startswith(b"X-Amz-")
    ]
    if not any(name in _PRESIGNED for name, _ in pairs):
        raise AuthError("MissingAuthenticationToken", "Request is missing Authentication Token")
    parameters = dict(pairs)
    missing = [name for name in _PRESIGNED if not parameters.get(name)]
    if missing:
        names = ", ".join(f"'X-Amz-{name}'" for name in missing)
        raise incomplete(f"AWS query-string parameters must include {names}.")
    if max(Counter(name for name, _ in pairs).values()) > 1:
        raise incomplete("An X-Amz- query-string parameter is given twice.")
    if parameters["Algorithm"] != ALGORITHM:
        raise incomplete(f"X-Amz-Algorithm only supports '{ALGORITHM}'.")
    expires = parameters.get("Expires")
    if expires is not None and not (
        re.fullmatch("[0-9]{1,6}", expires) and 1 <= int(expires) <= MAX_EXPIRES
    ):
        raise incomplete(f"X-Amz-Expires must be a number of seconds from 1 to {MAX_EXPIRES}.")
    return Claim(
        parameters["Credential"],
        parameters["Date"],
        _split_names(parameters["SignedHeaders"]),
        parameters["Signature"],
        presigned=True,
        expires=None if expires is None else int(expires),
    )


def _split_names(text: str) -> tuple[str, ...]:
    return tuple(sorted({name.strip().lower() for name in text.split(";")}))


def split_credential(text: str) -> list[str]:
    """Key id, day, region, service and terminator. Raises AuthError."""
    parts = text.split("/")
    if len(parts) != 5 or not all(parts):
        raise incomplete(
            "Credential must have exactly 5 slash-delimited elements, "
            "e.g. keyid/date/region/service/term."
        )
    return parts
