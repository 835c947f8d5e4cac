"""Problem details (RFC 9457): every error of the HTTP API, as `application/problem+json`."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import falcon
import msgspec

from services.order.reading import FieldError

MEDIA_TYPE = "application/problem+json"


def problem_body(
    status: int, kind: str | None = None, detail: str | None = None, **more: Any
) -> bytes:
    """The JSON of a problem. `kind` is the last part of its type; None: about:blank."""
    body: dict[str, Any] = {
        "type": f"urn:taskflow:problem:{kind}" if kind else "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
    }
    if detail:
        body["detail"] = detail
    return msgspec.json.encode(body | more)


class Problem(Exception):
    """Raised anywhere in the API to answer with a problem."""

    def __init__(
        self,
        status: int,
        kind: str | None,
        detail: str,
        *,
        errors: Iterable[FieldError] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        more: dict[str, Any] = {}
        if found := [{"pointer": each.pointer, "detail": each.detail} for each in errors]:
            more["errors"] = found
        self.body = problem_body(status, kind, detail, **more)


def send_problem(
    _req: falcon.Request, resp: falcon.Response, problem: Problem, _params: dict[str, Any]
) -> None:
    """Falcon error handler for Problem."""
    resp.status = problem.status
    resp.set_headers(problem.headers)
    resp.content_type = MEDIA_TYPE
    resp.data = problem.body


def serialize_error(_req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """Falcon error serializer: what the framework itself refuses (404, 405, 415)."""
    resp.content_type = MEDIA_TYPE
    resp.data = problem_body(error.status_code, None, error.description)
