"""What the order API answers, as types; `/openapi.json` is made of them."""

from typing import Annotated, Literal

import msgspec

from services.order.model import NewItem, Order, Status
from taskflow.clock import rfc3339

Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
Check = Literal["ok", "unavailable"]


class OrderShown(msgspec.Struct, frozen=True):
    """An order as the API shows it."""

    id: str
    status: Status
    customer_email: str
    items: tuple[NewItem, ...]
    total_cents: int
    currency: str
    payment_id: str | None
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, order: Order) -> "OrderShown":
        """The order to show."""
        return cls(
            id=order.id,
            status=order.status,
            customer_email=order.customer_email,
            items=order.items,
            total_cents=order.total_cents,
            currency=order.currency,
            payment_id=order.payment_id,
            created_at=rfc3339(order.created_at),
            updated_at=rfc3339(order.updated_at),
        )


class OrderPage(msgspec.Struct, frozen=True):
    """Orders, newest first; `next_cursor` leads to the next page."""

    items: list[OrderShown]
    next_cursor: str | None


class Health(msgspec.Struct, frozen=True):
    """Whether every check passes, and each by itself."""

    status: Check
    checks: dict[str, Check]


class Live(msgspec.Struct, frozen=True):
    """The process answers."""

    status: Literal["ok"]
