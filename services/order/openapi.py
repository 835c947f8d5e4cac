"""The order API as OpenAPI 3.1, made of the types it reads and answers.

https://spec.openapis.org/oas/v3.1.0
"""

from collections.abc import Mapping, Sequence
from typing import Any

import falcon
import msgspec

from services.order.model import MAX_PAGE, CancelBody, NewOrder, Status
from services.order.problems import MEDIA_TYPE, ProblemDetails
from services.order.shapes import Health, Live, OrderPage, OrderShown

_TYPES = (NewOrder, CancelBody, OrderShown, OrderPage, ProblemDetails, Health, Live)
_REFERENCES = "#/components/schemas/{name}"
_ORDER_ID = {"name": "order_id", "in": "path", "required": True, "schema": {"type": "string"}}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Requests with one key are one order, and are charged once.",
    "schema": {"type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$"},
}
_PAGE = (
    {
        "name": "limit",
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 50},
    },
    {
        "name": "cursor",
        "in": "query",
        "description": "`next_cursor` of an earlier page.",
        "schema": {"type": "string"},
    },
    {"name": "status", "in": "query", "schema": {"enum": [status.value for status in Status]}},
)
_PROBLEMS = {
    400: "The request is none: no JSON, a wrong parameter or header.",
    401: "A key is needed: `Authorization: Bearer KEY`.",
    402: "The card was declined; the order is kept, as declined.",
    403: "A page of another site sent it, or the host is not known.",
    404: "There is no such order.",
    409: "The order, or the first request with this key, does not allow it now.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    422: "The body says what cannot be; `errors` names each field.",
    503: "What it needs cannot be used now; Retry-After says when to try again.",
}

_HEADERS = {
    401: {"WWW-Authenticate": "How to show a key."},
    402: {"Location": "Where the order is that was kept."},
    503: {"Retry-After": "Seconds after which it may be tried again."},
}


def make_document(secured: bool) -> dict[str, Any]:
    """The document. `secured`: whether callers need a key."""
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template=_REFERENCES)
    closed: dict[str, Any] = {"security": [{"key": []}]} if secured else {}
    always = (401, 403) if secured else (403,)
    order = _answer("OrderShown", "The order.", ETag="Another one for each version of the order.")
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Orders",
            "version": "1",
            "description": "Places orders, has them paid, and publishes what became of them.",
        },
        "paths": {
            "/orders": {
                "post": {
                    "operationId": "placeOrder",
                    "summary": "Place an order, and pay it: with the card sent along, or with what "
                    "the customer has on file",
                    "parameters": [_KEY],
                    "requestBody": _body("NewOrder", required=True),
                    "responses": {
                        "201": _answer(
                            "OrderShown",
                            "The order is placed and paid.",
                            Location="Where the order is.",
                            ETag="Another one for each version of the order.",
                            **{"Idempotent-Replayed": "`true`: an earlier request's answer."},
                        ),
                        **_problems(*always, 400, 402, 409, 413, 415, 422, 503),
                    },
                    **closed,
                },
                "get": {
                    "operationId": "listOrders",
                    "summary": "List orders, newest first",
                    "parameters": _PAGE,
                    "responses": {
                        "200": _answer("OrderPage", "A page of orders."),
                        **_problems(*always, 400, 413, 503),
                    },
                    **closed,
                },
            },
            "/orders/{order_id}": {
                "parameters": [_ORDER_ID],
                "get": {
                    "operationId": "getOrder",
                    "summary": "Show an order",
                    "responses": {
                        "200": order,
                        "304": {"description": "If-None-Match has this version."},
                        **_problems(*always, 404, 413, 503),
                    },
                    **closed,
                },
            },
            "/orders/{order_id}/cancel": {
                "parameters": [_ORDER_ID],
                "post": {
                    "operationId": "cancelOrder",
                    "summary": "Cancel an order; what was paid is refunded",
                    "requestBody": _body("CancelBody", required=False),
                    "responses": {
                        "200": order,
                        **_problems(*always, 400, 404, 409, 413, 415, 422, 503),
                    },
                    **closed,
                },
            },
            "/stats": {
                "get": {
                    "operationId": "stats",
                    "summary": "Counts of orders, queues, events and the outbox",
                    "responses": {
                        "200": {
                            "description": "The counts.",
                            "content": {falcon.MEDIA_JSON: {"schema": {"type": "object"}}},
                        },
                        **_problems(*always, 413, 503),
                    },
                    **closed,
                }
            },
            "/health": {
                "get": {
                    "operationId": "health",
                    "summary": "Whether everything that orders need can be used",
                    "responses": {
                        "200": _answer("Health", "All of it."),
                        "503": _answer("Health", "Not all of it."),
                        **_problems(403, 413),
                    },
                }
            },
            "/health/live": {
                "get": {
                    "operationId": "live",
                    "summary": "Whether the process answers",
                    "responses": {"200": _answer("Live", "It does."), **_problems(403, 413)},
                }
            },
        },
        "components": {"schemas": {name: _as_ecma(one) for name, one in schemas.items()}},
    }
    if secured:
        document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    return document


def _body(name: str, *, required: bool) -> dict[str, Any]:
    return {"required": required, "content": {falcon.MEDIA_JSON: {"schema": _reference(name)}}}


def _answer(name: str, description: str, **headers: str) -> dict[str, Any]:
    return {
        "description": description,
        "content": {falcon.MEDIA_JSON: {"schema": _reference(name)}},
        "headers": {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in headers.items()
        },
    }


def _problems(*codes: int) -> dict[str, Any]:
    content = {MEDIA_TYPE: {"schema": _reference("ProblemDetails")}}
    return {
        str(code): {
            "description": _PROBLEMS[code],
            "content": content,
            "headers": {
                name: {"description": text, "schema": {"type": "string"}}
                for name, text in _HEADERS.get(code, {}).items()
            },
        }
        for code in codes
    }


def _reference(name: str) -> dict[str, str]:
    return {"$ref": _REFERENCES.format(name=name)}


def _as_ecma(schema: Any) -> Any:
    r"""JSON Schema's patterns are ECMA's, which has `$` where Python has `\Z`."""
    if isinstance(schema, Mapping):
        return {
            name: part.replace(r"\Z", "$")
            if name == "pattern" and isinstance(part, str)
            else _as_ecma(part)
            for name, part in schema.items()
        }
    if isinstance(schema, Sequence) and not isinstance(schema, str):
        return [_as_ecma(part) for part in schema]
    return schema


class OpenApiResource:
    """`/openapi.json`"""

    def __init__(self, secured: bool) -> None:
        self._document = msgspec.json.encode(make_document(secured))

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """The document."""
        resp.content_type = falcon.MEDIA_JSON
        resp.data = self._document
