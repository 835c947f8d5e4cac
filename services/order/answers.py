"""What POST /orders answers, as bytes that can be stored and sent again."""

from dataclasses import dataclass

import msgspec

from services.order.model import Order
from services.order.problems import MEDIA_TYPE, problem_body
from services.order.shapes import OrderShown


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response. `replayed`: it was made for an earlier request with the same key."""

    status: int
    headers: dict[str, str]
    body: bytes
    replayed: bool = False


def order_etag(order: Order) -> str:
    """A strong entity tag: another one for each version of each order."""
    return f'"{order.id}.{order.version}"'


def created(order: Order) -> Answer:
    """201: the order exists."""
    headers = {
        "Content-Type": "application/json",
        "Location": f"/orders/{order.id}",
        "ETag": order_etag(order),
    }
    return Answer(201, headers, msgspec.json.encode(OrderShown.of(order)))


def declined(order: Order, code: str) -> Answer:
    """402: the card was declined; the order is kept, as declined."""
    detail = f"The card was declined: {code.replace('_', ' ')}."
    if code == "no_payment_method":
        detail = "The customer has no payment method on file; send one with the order."
    body = problem_body(
        402,
        "card-declined",
        detail,
        decline_code=code,
        order_id=order.id,
    )
    return Answer(402, {"Content-Type": MEDIA_TYPE, "Location": f"/orders/{order.id}"}, body)


def abandoned(order: Order) -> Answer:
    """409: nobody came back in time for an order whose charge was uncertain."""
    body = problem_body(
        409,
        "order-abandoned",
        "The payment of this order stayed uncertain for too long: it was cancelled and whatever"
        " was charged is refunded. Send a new order under a new Idempotency-Key.",
        order_id=order.id,
    )
    return Answer(409, {"Content-Type": MEDIA_TYPE, "Location": f"/orders/{order.id}"}, body)
