"""Orders as data: what a customer sends, what is stored, and how an order may change."""

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any

import msgspec

CURRENCY = "USD"
"""Every price is in hundredths of it."""

MAX_PAGE = 200
"""Orders in one page of a list."""

MAX_CENTS = 2**63 - 1
"""The largest amount a database column holds."""

Email = Annotated[
    str,
    msgspec.Meta(
        # What the mail server of the notification service takes: RFC 5321's dot-string, in ASCII.
        pattern=(
            r"^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@"
            r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\Z"
        ),
        max_length=254,
        extra={"says": "must be an e-mail address in ASCII, such as ada@example.org"},
    ),
]
# Control characters, line ends, what turns text around, and what no message can carry.
_UNFIT = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff"
ONE_LINE = rf"^[^{_UNFIT}]*[^\s{_UNFIT}][^{_UNFIT}]*\Z"
"""A pattern for text that ends in e-mails, logs and events."""

ProductName = Annotated[
    str,
    msgspec.Meta(
        pattern=ONE_LINE,
        max_length=200,
        extra={"says": "must be a text of 1 to 200 characters, with no control characters"},
    ),
]
Reason = Annotated[
    str,
    msgspec.Meta(
        pattern=ONE_LINE,
        max_length=200,
        extra={"says": "must be a text of 1 to 200 characters, with no control characters"},
    ),
]
Quantity = Annotated[
    int,
    msgspec.Meta(ge=1, le=1_000_000, extra={"says": "must be a whole number, 1 to 1000000"}),
]
Cents = Annotated[
    int,
    msgspec.Meta(ge=0, le=MAX_CENTS, extra={"says": f"must be whole cents, 0 to {MAX_CENTS}"}),
]


class NewItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of a new order."""

    product_name: ProductName
    quantity: Quantity
    unit_price_cents: Cents


class NewCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The card to pay with. Lives as long as the request; never stored, never in a repr."""

    card_number: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    exp_month: Annotated[int, msgspec.Meta(ge=1, le=12)]
    exp_year: Annotated[int, msgspec.Meta(ge=2000, le=9999)]
    cvc: Annotated[str, msgspec.Meta(min_length=1, max_length=16)]

    def __repr__(self) -> str:
        return "NewCard()"


class CancelBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /orders/{id}/cancel, which may be left out."""

    reason: Reason = "asked for by the customer"


class NewOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /orders."""

    customer_email: Email
    items: Annotated[
        list[NewItem],
        msgspec.Meta(min_length=1, max_length=100, extra={"says": "must hold 1 to 100 items"}),
    ]
    payment: NewCard | None = None

    @property
    def total_cents(self) -> int:
        """What the order costs; may be larger than MAX_CENTS, which the reader refuses."""
        return sum(item.quantity * item.unit_price_cents for item in self.items)

    def fingerprint(self) -> str:
        """What makes two requests with one idempotency key the same request.

        Of the card it holds only last digits and expiry: a hash of the whole number could be
        reversed by trying them all.
        """
        card = self.payment
        parts: list[Any] = [self.customer_email, self.items]
        if card is not None:  # else the payment method on file, whichever that is
            parts.append([card.card_number[-4:], card.exp_month, card.exp_year])
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


class Status(StrEnum):
    """Where an order stands.

    ```
    (costs nothing) -> pending --cancel--> cancelled
    (else) -> charging --approved--> paid --cancel--> cancelled --refunded--> refunded
                 |-- declined --> declined
                 `-- nobody came back for it --> cancelled
    ```
    """

    PENDING = "pending"
    CHARGING = "charging"
    PAID = "paid"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


CANCELLABLE = frozenset({Status.PENDING, Status.PAID})


@dataclass(frozen=True, slots=True)
class Order:
    """An order as stored. Times in epoch seconds, money in cents.

    `version` grows by one with each change. `locked_until`: until then one request is charging
    it, and no other may.
    """

    id: str
    customer_email: str
    items: tuple[NewItem, ...]
    total_cents: int
    currency: str
    status: Status
    created_at: float
    updated_at: float
    payment_id: str | None = None
    version: int = 1
    locked_until: float = 0.0
    seq: int = field(default=0, compare=False)

    def created_payload(self) -> dict[str, Any]:
        """The payload of `order.created`."""
        return {
            "order_id": self.id,
            "customer_email": self.customer_email,
            "items": msgspec.to_builtins(self.items),
            "total_cents": self.total_cents,
            "currency": self.currency,
            "status": self.status.value,
            "payment_id": self.payment_id,
        }

    def refunded_payload(self, amount_cents: int) -> dict[str, Any]:
        """The payload of `order.refunded`."""
        return {
            "order_id": self.id,
            "customer_email": self.customer_email,
            "amount_cents": amount_cents,
            "currency": self.currency,
            "payment_id": self.payment_id,
        }

    def cancelled_payload(self, reason: str) -> dict[str, Any]:
        """The payload of `order.cancelled`."""
        return {
            "order_id": self.id,
            "customer_email": self.customer_email,
            "total_cents": self.total_cents,
            "payment_id": self.payment_id,
            "reason": reason,
        }
