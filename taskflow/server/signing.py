"""Who signed a request: AWS Signature Version 4, checked over the bytes that arrived.

A signature covers the method, the path, the query, the signed headers and the body. The same
request may be sent again, unaltered, while its date is within `SKEW` (or `X-Amz-Expires`); AWS
behaves so too, since SDKs and proxies repeat requests. A connection that others can read needs TLS.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
"""

import hmac
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from taskflow.clock import from_rfc3339, rfc3339
from taskflow.server.auth_error import AuthError, incomplete, mismatch, unknown_key
from taskflow.server.canonical import (
    canonical_header,
    canonical_path,
    canonical_query,
)
from taskflow.server.signature_claim import ALGORITHM, Claim, Request, read_claim, split_credential

TERMINATOR = "aws4_request"
SERVICES = ("sqs", "sns", "sts")
SKEW = 15 * 60.0
_DATE = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")


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
    claim = read_claim(request)
    access_key_id, day, region, service, terminator = split_credential(claim.credential)
    if terminator != TERMINATOR:
        raise mismatch(
            f"Credential should be scoped with a valid terminator: '{TERMINATOR}', "
            f"not '{terminator}'."
        )
    if service not in services:
        allowed = "', '".join(services)
        raise mismatch(f"Credential should be scoped to correct service: '{allowed}'.")
    if regions is not None and region not in regions:
        raise mismatch(f"Credential should be scoped to a valid region, not '{region}'.")
    date = _read_date(claim.date)
    if day != claim.date[:8]:
        raise mismatch(
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
        raise mismatch(
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method. "
            "Consult the service documentation for details."
        )
    return Signed(access_key_id, region, service, date)


def _read_date(text: str) -> float:
    found = _DATE.fullmatch(text)
    try:
        if found:
            return from_rfc3339("{}-{}-{}T{}:{}:{}Z".format(*found.groups()))
    except ValueError:
        pass
    raise incomplete("Date must be in ISO-8601 'basic format', e.g. 20260131T120000Z.")


def _write_date(seconds: float) -> str:
    return rfc3339(seconds)[:19].replace("-", "").replace(":", "") + "Z"


def _check_time(claim: Claim, date: float, now: float) -> None:
    at = _write_date(now)
    if date > now + SKEW:
        raise mismatch(
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
        raise mismatch(
            f"Signature expired: {claim.date} is now earlier than "
            f"{_write_date(now - SKEW)} ({at} - 15 min.)"
        )


def _check_signed_headers(request: Request, claim: Claim) -> None:
    """Host and every x-amz- header must be signed: X-Amz-Target alone says what is to be done."""
    if "host" not in claim.signed_headers:
        raise mismatch("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    for name, value in request.headers:
        if name == "x-amz-content-sha256" and value.strip() != sha256(request.body).hexdigest():
            raise mismatch(
                "The provided 'x-amz-content-sha256' header does not match what was computed."
            )
        if (
            name.startswith("x-amz-")
            and name != "x-amz-security-token"
            and name not in claim.signed_headers
        ):
            raise mismatch(f"'{name.title()}' must be a 'SignedHeader' in the AWS Authorization.")


def _string_to_sign(request: Request, claim: Claim) -> bytes:
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
