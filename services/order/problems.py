"""Problem details (RFC 9457): every error of the HTTP API, as `application/problem+json`."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import falcon
import msgspec

from services.order.reading import FieldError

MEDIA_TYPE = "application/problem+json"


class ProblemDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error, as RFC 9457 has it. `errors`: each thing that is wrong, where that is known."""

    type: str
    title: str
    status: int
    detail: str | None = None
    errors: list[FieldError] = []
    decline_code: str | None = None
    order_id: str | None = None


def problem_body(
    status: int, kind: str | None = None, detail: str | None = None, **more: Any
) -> bytes:
    """The JSON of a problem. `kind` is the last part of its type; None: about:blank."""
    return msgspec.json.encode(
        ProblemDetails(
            type=f"urn:taskflow:problem:{kind}" if kind else "about:blank",
            title=HTTPStatus(status).phrase,
            status=status,
            detail=detail or None,
            **more,
        )
    )


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
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})
        if retry_after is not None:
            self.headers["Retry-After"] = str(retry_after)
        self.body = problem_body(status, kind, detail, errors=list(errors))


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
