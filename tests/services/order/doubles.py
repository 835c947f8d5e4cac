"""What order tests are made of: an order service in-process, and a payment double."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import falcon.testing
import msgspec

from services.order.model import NewCard, Order
from services.order.payments import Charged, Declined
from services.order.repository import OrderRepository
from services.order.service import OrderService
from taskflow import Broker
from taskflow.outbox import Outbox, Relay, Row
from taskflow.testing import ManualClock

CARD: dict[str, Any] = {
    "card_number": "4242424242424242",
    "exp_month": 12,
    "exp_year": 2030,
    "cvc": "987",
}
ITEM: dict[str, Any] = {"product_name": "Lamp", "quantity": 2, "unit_price_cents": 1250}


@dataclass
class FakePayments:
    """A payment service that answers what it is told to, and remembers what it charged.

    Like the real one it charges an order once, and answers repeats with the stored payment.
    `before_answer` runs after the charge: what it raises is what happens to the answer.
    """

    outcome: Callable[[Order], Charged | Declined] = lambda order: Charged(f"pay_{order.id}")
    before_charge: Callable[[], None] = lambda: None
    before_answer: Callable[[], None] = lambda: None
    charged: dict[str, int] = field(default_factory=dict)
    calls: int = 0
    cards: list[NewCard | None] = field(default_factory=list)

    def charge(self, order: Order, card: NewCard | None) -> Charged | Declined:
        self.calls += 1
        self.cards.append(card)
        self.before_charge()
        outcome = self.outcome(order)
        if isinstance(outcome, Charged):
            self.charged.setdefault(order.id, order.total_cents)
        self.before_answer()
        return outcome


@dataclass
class Store:
    """Everything of one order service; `post` and `get` talk to its API."""

    client: falcon.testing.TestClient
    service: OrderService
    repository: OrderRepository
    outbox: Outbox
    relay: Relay
    payments: FakePayments
    broker: Broker
    clock: ManualClock

    def post(self, body: Any = None, key: str | None = None, **options: Any) -> Any:
        """POST /orders with JSON; `raw=` sends bytes as they are."""
        headers = options.pop("headers", {})
        if key is not None:
            headers["Idempotency-Key"] = key
        if "raw" in options:
            headers.setdefault("Content-Type", "application/json")
            return self.client.simulate_post("/orders", body=options["raw"], headers=headers)
        return self.client.simulate_post("/orders", json=body, headers=headers)

    def get(self, path: str, **options: Any) -> Any:
        """GET a path."""
        return self.client.simulate_get(path, **options)

    def is_empty(self) -> bool:
        """Whether nothing at all was stored."""
        return not self.repository.page(1, None, None) and not self.outbox.pending()


def payload_of(row: Row) -> Any:
    """The payload of a saved event."""
    return msgspec.json.decode(row.event.payload)


def new_order(**changes: Any) -> dict[str, Any]:
    """A good body for POST /orders, with changes; None takes a field away."""
    body = {"customer_email": "ada@example.org", "items": [ITEM]} | changes
    return {name: value for name, value in body.items() if value is not None}
