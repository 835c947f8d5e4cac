"""The HTTP API of orders, on Falcon."""

import base64
import logging
import re
from collections.abc import Collection, Mapping
from typing import Any

import falcon
import msgspec
from sqlalchemy.exc import OperationalError

from services.keys import bears_one
from services.order.answers import order_etag
from services.order.model import MAX_CENTS, MAX_PAGE, CancelBody, NewOrder, Order, Status
from services.order.openapi import OpenApiResource
from services.order.origin import check_origin
from services.order.problems import Problem, send_problem, serialize_error
from services.order.reading import FieldError, InvalidBody, MalformedJson, read_json
from services.order.service import OrderService
from services.order.shapes import OrderPage, OrderShown
from services.order.status import HealthResource, LiveResource, StatsResource

# Below the broker's 1 MiB for an event even when every character of the body is escaped there.
MAX_BODY_BYTES = 128 * 1024

OPEN_PATHS = frozenset({"/health", "/health/live", "/openapi.json"})
"""What monitors and readers may ask for without a key."""

logger = logging.getLogger("services.order")


def create_app(
    service: OrderService,
    health: HealthResource,
    stats: StatsResource,
    hosts: Collection[str] = (),
    keys: Mapping[str, str] | None = None,
) -> falcon.App[falcon.Request, falcon.Response]:
    """The WSGI app over its collaborators. `hosts`: by which names it is called, beside this
    machine's own. `keys`: those of callers, by name; without any everybody may call."""
    app = falcon.App(middleware=[_Guard(hosts, keys or {})])
    app.set_error_serializer(serialize_error)
    app.add_error_handler(Problem, send_problem)
    app.add_error_handler(MalformedJson, _send_malformed)
    app.add_error_handler(InvalidBody, _send_invalid)
    app.add_error_handler(OperationalError, _send_no_database)
    app.add_route("/orders", OrdersResource(service))
    app.add_route("/orders/{order_id}", OrderResource(service))
    app.add_route("/orders/{order_id}/cancel", CancelResource(service))
    app.add_route("/health", health)
    app.add_route("/health/live", LiveResource())
    app.add_route("/stats", stats)
    app.add_route("/openapi.json", OpenApiResource(secured=bool(keys)))
    return app


class OrdersResource:
    """`/orders`"""

    def __init__(self, service: OrderService) -> None:
        self._service = service

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Place an order."""
        key = read_idempotency_key(req)
        new = read_json(_read_body(req), NewOrder)
        if new.total_cents > MAX_CENTS:
            raise InvalidBody([FieldError("#/items", f"add up to more than {MAX_CENTS} cents")])
        if new.payment and new.total_cents == 0:
            raise InvalidBody([FieldError("#/payment", "is not needed: the order costs nothing")])
        answer = self._service.place(new, key)
        resp.status = answer.status
        resp.set_headers(answer.headers)
        if answer.replayed:
            resp.set_header("Idempotent-Replayed", "true")
        resp.data = answer.body

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List orders, newest first."""
        limit, before, status = _read_page(req)
        # One more than asked for tells whether there is a next page.
        found = self._service.page(limit + 1, before, status)
        shown = found[:limit]
        cursor = _write_cursor(shown[-1]) if len(found) > limit else None
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(
            OrderPage([OrderShown.of(order) for order in shown], cursor)
        )


class OrderResource:
    """`/orders/{order_id}`"""

    def __init__(self, service: OrderService) -> None:
        self._service = service

    def on_get(self, req: falcon.Request, resp: falcon.Response, order_id: str) -> None:
        """Show an order; 304 when the caller has this version."""
        order = self._service.get(order_id)
        known = [str(tag) for tag in req.if_none_match or ()]
        if "*" in known or order_etag(order).strip('"') in known:
            resp.set_header("ETag", order_etag(order))
            resp.status = falcon.HTTP_304
            return
        _send_order(resp, order)


class CancelResource:
    """`/orders/{order_id}/cancel`"""

    def __init__(self, service: OrderService) -> None:
        self._service = service

    def on_post(self, req: falcon.Request, resp: falcon.Response, order_id: str) -> None:
        """Cancel an order."""
        body = _read_body(req)
        reason = read_json(body, CancelBody).reason if body else CancelBody().reason
        _send_order(resp, self._service.cancel(order_id, reason))


class _Guard:
    """Refuses callers without a key, and bodies by size and kind before anything reads them."""

    def __init__(self, hosts: Collection[str], keys: Mapping[str, str]) -> None:
        self._hosts = hosts
        self._keys = keys

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        check_origin(req, self._hosts)
        resp.set_header("X-Content-Type-Options", "nosniff")
        resp.set_header("Cache-Control", "no-store")
        self._check_key(req)
        length = req.content_length or 0
        if length > MAX_BODY_BYTES:
            raise Problem(
                413,
                "body-too-large",
                f"The body has {length} bytes; at most {MAX_BODY_BYTES} are taken.",
                errors=[FieldError("#", f"must be at most {MAX_BODY_BYTES} bytes")],
            )

    def _check_key(self, req: falcon.Request) -> None:
        if not self._keys or req.path in OPEN_PATHS:
            return
        if not bears_one(req.get_header("Authorization") or "", self._keys):
            raise Problem(
                401,
                "no-key",
                "Send `Authorization: Bearer KEY` with a key of ORDER_KEYS.",
                headers={"WWW-Authenticate": 'Bearer realm="orders"'},
            )

    def process_resource(
        self, req: falcon.Request, _resp: falcon.Response, resource: object, _params: object
    ) -> None:
        # After routing, so that an unknown path or method is what it is.
        if resource is None or req.method != "POST":
            return
        media = (req.content_type or "").partition(";")[0].strip().lower()
        needs_body = isinstance(resource, OrdersResource)
        if media != "application/json" and (needs_body or req.content_length):
            raise Problem(
                415,
                "unsupported-media-type",
                f"Send JSON as Content-Type: application/json, not {media or 'nothing'}.",
            )


def read_idempotency_key(req: falcon.Request) -> str | None:
    """The Idempotency-Key header, as a quoted string (RFC 9651) or bare; None without one."""
    text = req.get_header("Idempotency-Key")
    if text is None:
        return None
    quoted = re.fullmatch(r'"((?:[^"\\]|\\["\\])*)"', text)
    key = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text
    if not re.fullmatch(r"[ -~]{1,255}", key):
        raise Problem(
            400,
            "invalid-idempotency-key",
            "Idempotency-Key must be 1 to 255 printable ASCII characters.",
        )
    return key


def _read_body(req: falcon.Request) -> bytes:
    return req.bounded_stream.read()


def _send_order(resp: falcon.Response, order: Order) -> None:
    resp.set_header("ETag", order_etag(order))
    resp.content_type = falcon.MEDIA_JSON
    resp.data = msgspec.json.encode(OrderShown.of(order))


def _read_page(req: falcon.Request) -> tuple[int, int | None, Status | None]:
    errors = []
    limit, before, status = 50, None, None
    if (text := req.get_param("limit")) is not None:
        if re.fullmatch(r"[0-9]{1,3}", text) and 1 <= int(text) <= MAX_PAGE:
            limit = int(text)
        else:
            errors.append(FieldError("?limit", f"must be a whole number, 1 to {MAX_PAGE}"))
    if (text := req.get_param("cursor")) is not None:
        before = _read_cursor(text)
        if before is None:
            errors.append(FieldError("?cursor", "must be a next_cursor of an earlier page"))
    if (text := req.get_param("status")) is not None:
        if text in list(Status):
            status = Status(text)
        else:
            errors.append(FieldError("?status", f"must be one of {', '.join(Status)}"))
    if errors:
        raise Problem(400, "invalid-query", "The query has wrong parameters.", errors=errors)
    return limit, before, status


def _write_cursor(order: Order) -> str:
    return base64.urlsafe_b64encode(f"o{order.seq}".encode()).decode().rstrip("=")


def _read_cursor(text: str) -> int | None:
    try:
        plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except ValueError:
        return None
    found = re.fullmatch(r"o([0-9]{1,18})", plain)
    return int(found[1]) if found else None


def _send_malformed(
    req: falcon.Request, resp: falcon.Response, error: MalformedJson, params: dict[str, Any]
) -> None:
    where = [FieldError("#", str(error))]
    problem = Problem(400, "malformed-json", f"Not JSON: {error}.", errors=where)
    send_problem(req, resp, problem, params)


def _send_no_database(
    req: falcon.Request, resp: falcon.Response, error: OperationalError, params: dict[str, Any]
) -> None:
    logger.error("the database cannot be used: %s", error)
    detail = "The order database cannot be used now."
    send_problem(req, resp, Problem(503, "unavailable", detail, retry_after=5), params)


def _send_invalid(
    req: falcon.Request, resp: falcon.Response, error: InvalidBody, params: dict[str, Any]
) -> None:
    detail = "; ".join(f"{each.pointer} {each.detail}" for each in error.errors[:10])
    problem = Problem(422, "invalid-order", detail, errors=error.errors)
    send_problem(req, resp, problem, params)
