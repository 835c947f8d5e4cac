"""Who signed a request: AWS Signature Version 4, checked over the bytes that arrived.

A signature covers the method, the path, the query, the signed headers and the body. The same
request may be sent again, unaltered, while its date is within `SKEW` (or `X-Amz-Expires`); AWS
behaves so too, since SDKs and proxies repeat requests. A connection that others can read needs TLS.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
"""

import hmac
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from taskflow.clock import from_rfc3339, rfc3339
from taskflow.server.canonical import (
    canonical_header,
    canonical_path,
    canonical_query,
    split_query,
)

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
SERVICES = ("sqs", "sns", "sts")
SKEW = 15 * 60.0
MAX_EXPIRES = 7 * 86400
_DATE = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")
_PRESIGNED = ("Algorithm", "Credential", "Date", "SignedHeaders", "Signature")


class AuthError(Exception):
    """A request is refused: AWS's error code, its HTTP status, and a text without secrets."""

    def __init__(self, code: str, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


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
class Signed:
    """A request that was signed by the holder of a key, at `date` (epoch seconds)."""

    access_key_id: str
    region: str
    service: str
    date: float


class HasSecret(Protocol):
    """An access key, as far as a signature is concerned."""

    @property
    def secret(self) -> str: ...


@dataclass(frozen=True, slots=True)
class _Claim:
    """What a request says about its own signature; nothing here is proven."""

    credential: str
    date: str
    signed_headers: tuple[str, ...]
    signature: str
    presigned: bool
    expires: int | None = None


def verify(
    request: Request,
    find_key: Callable[[str], HasSecret | None],
    now: float,
    *,
    regions: Collection[str] | None = None,
    services: Collection[str] = SERVICES,
) -> Signed:
    """Check the signature in the Authorization header, else the one in the query.

    `regions=None` takes any region. The session token is ignored. Raises AuthError: not signed,
    incomplete, an unknown key, too old or too new at `now` (epoch seconds), or altered.
    """
    claim = _read_claim(request)
    access_key_id, day, region, service, terminator = _split_credential(claim.credential)
    if terminator != TERMINATOR:
        raise _mismatch(
            f"Credential should be scoped with a valid terminator: '{TERMINATOR}', "
            f"not '{terminator}'."
        )
    if service not in services:
        allowed = "', '".join(services)
        raise _mismatch(f"Credential should be scoped to correct service: '{allowed}'.")
    if regions is not None and region not in regions:
        raise _mismatch(f"Credential should be scoped to a valid region, not '{region}'.")
    date = _read_date(claim.date)
    if day != claim.date[:8]:
        raise _mismatch(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from "
            f"HTTP: '{day}' != '{claim.date[:8]}', from '{claim.date}'."
        )
    _check_time(claim, date, now)
    _check_signed_headers(request, claim)
    key = find_key(access_key_id)
    if key is None:
        raise unknown_key()
    signer = f"AWS4{key.secret}".encode()
    for part in (day, region, service, TERMINATOR):
        signer = hmac.digest(signer, part.encode("latin-1"), "sha256")
    expected = hmac.digest(signer, _string_to_sign(request, claim), "sha256").hex()
    if not hmac.compare_digest(expected.encode(), claim.signature.encode("latin-1")):
        raise _mismatch(
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method. "
            "Consult the service documentation for details."
        )
    return Signed(access_key_id, region, service, date)


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
    access_key_id, _, region, service, _ = _split_credential(_read_claim(request).credential)
    return access_key_id, region, service


def unknown_key() -> AuthError:
    """The refusal of a key that nobody has."""
    return AuthError(
        "InvalidClientTokenId", "The security token included in the request is invalid."
    )


def denied(service: str, principal: str, action: str, resource: str) -> AuthError:
    """The refusal of a known caller: AccessDenied, which SNS calls AuthorizationError."""
    return AuthError(
        "AuthorizationError" if service == "sns" else "AccessDenied",
        f"User: {principal} is not authorized to perform: {action} on resource: {resource}",
    )


# ---- what the request says --------------------------------------------------------------------
def _read_claim(request: Request) -> _Claim:
    found = [value for name, value in request.headers if name == "authorization"]
    if len(found) > 1:
        raise _incomplete("More than one Authorization header.")
    return _in_header(request, found[0]) if found else _in_query(request)


def _in_header(request: Request, text: str) -> _Claim:
    algorithm, _, rest = text.strip().partition(" ")
    if algorithm != ALGORITHM:
        raise _incomplete(f"The Authorization header does not start with '{ALGORITHM}'.")
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
        raise _incomplete(" ".join(missing))
    return _Claim(
        parameters["Credential"],
        dates[0],
        _split_names(parameters["SignedHeaders"]),
        parameters["Signature"],
        presigned=False,
    )


def _in_query(request: Request) -> _Claim:
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
        raise _incomplete(f"AWS query-string parameters must include {names}.")
    if max(Counter(name for name, _ in pairs).values()) > 1:
        raise _incomplete("An X-Amz- query-string parameter is given twice.")
    if parameters["Algorithm"] != ALGORITHM:
        raise _incomplete(f"X-Amz-Algorithm only supports '{ALGORITHM}'.")
    expires = parameters.get("Expires")
    if expires is not None and not (
        re.fullmatch("[0-9]{1,6}", expires) and 1 <= int(expires) <= MAX_EXPIRES
    ):
        raise _incomplete(f"X-Amz-Expires must be a number of seconds from 1 to {MAX_EXPIRES}.")
    return _Claim(
        parameters["Credential"],
        parameters["Date"],
        _split_names(parameters["SignedHeaders"]),
        parameters["Signature"],
        presigned=True,
        expires=None if expires is None else int(expires),
    )


def _split_names(text: str) -> tuple[str, ...]:
    return tuple(sorted({name.strip().lower() for name in text.split(";")}))


def _split_credential(text: str) -> list[str]:
    parts = text.split("/")
    if len(parts) != 5 or not all(parts):
        raise _incomplete(
            "Credential must have exactly 5 slash-delimited elements, "
            "e.g. keyid/date/region/service/term."
        )
    return parts


# ---- when and what was signed -----------------------------------------------------------------
def _read_date(text: str) -> float:
    found = _DATE.fullmatch(text)
    try:
        if found:
            return from_rfc3339("{}-{}-{}T{}:{}:{}Z".format(*found.groups()))
    except ValueError:
        pass
    raise _incomplete("Date must be in ISO-8601 'basic format', e.g. 20260131T120000Z.")


def _write_date(seconds: float) -> str:
    return rfc3339(seconds)[:19].replace("-", "").replace(":", "") + "Z"


def _check_time(claim: _Claim, date: float, now: float) -> None:
    at = _write_date(now)
    if date > now + SKEW:
        raise _mismatch(
            f"Signature not yet current: {claim.date} is still later than "
            f"{_write_date(now + SKEW)} ({at} + 15 min.)"
        )
    if claim.expires is not None:
        if date + claim.expires < now:
            raise AuthError(
                "RequestExpired",
                f"Signature expired: {claim.date} is now earlier than "
                f"{_write_date(now - claim.expires)} ({at} - {claim.expires} sec.)",
                400,
            )
    elif date < now - SKEW:
        raise _mismatch(
            f"Signature expired: {claim.date} is now earlier than "
            f"{_write_date(now - SKEW)} ({at} - 15 min.)"
        )


def _check_signed_headers(request: Request, claim: _Claim) -> None:
    """Host and every x-amz- header must be signed: X-Amz-Target alone says what is to be done."""
    if "host" not in claim.signed_headers:
        raise _mismatch("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    for name, value in request.headers:
        if name == "x-amz-content-sha256" and value.strip() != sha256(request.body).hexdigest():
            raise _mismatch(
                "The provided 'x-amz-content-sha256' header does not match what was computed."
            )
        if (
            name.startswith("x-amz-")
            and name != "x-amz-security-token"
            and name not in claim.signed_headers
        ):
            raise _mismatch(f"'{name.title()}' must be a 'SignedHeader' in the AWS Authorization.")


def _string_to_sign(request: Request, claim: _Claim) -> bytes:
    canonical = b"\n".join(
        [
            request.method.upper().encode("latin-1"),
            canonical_path(request.path),
            canonical_query(request.query, claim.presigned),
            *(canonical_header(request.headers, name) for name in claim.signed_headers),
            b"",
            ";".join(claim.signed_headers).encode("latin-1"),
            sha256(request.body).hexdigest().encode(),
        ]
    )
    scope = claim.credential.partition("/")[2]
    digest = sha256(canonical).hexdigest()
    return f"{ALGORITHM}\n{claim.date}\n{scope}\n{digest}".encode("latin-1")


def _incomplete(message: str) -> AuthError:
    return AuthError("IncompleteSignature", message, 400)


def _mismatch(message: str) -> AuthError:
    return AuthError("SignatureDoesNotMatch", message)
