"""A refund goes round: order.cancelled, payment.refunded, order.refunded; each once."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.order import handlers as order_handlers
from services.order.problems import Problem
from services.payment.handlers import refund_order
from services.payment.repository import PaymentRepository
from services.payment.service import Charge, OnFile, PaymentService
from taskflow import Retry
from taskflow.outbox import Outbox, SqlAlchemy
from tests.services.order.conftest import engine, store  # noqa: F401 - fixtures
from tests.services.order.doubles import Store, new_order, payload_of


class Caller:
    def remaining(self) -> float:
        return 10.0

    def on_leave(self, callback: Any) -> None: ...


@pytest.fixture
def payments(store: Store, tmp_path: Path) -> Iterator[PaymentService]:  # noqa: F811
    repository = PaymentRepository.open(f"sqlite:///{tmp_path}/payment.db")
    ids = count(1)
    yield PaymentService(repository, store.clock, lambda: f"pay_{next(ids)}", 10**9)
    repository.close()


def saved(service: PaymentService) -> list[dict[str, Any]]:
    outbox = Outbox(SqlAlchemy(service._repository.engine))
    return [msgspec.json.decode(row.event.payload) for row in outbox.pending()]


def test_a_refund_is_told_with_the_change_and_once(payments: PaymentService) -> None:
    payments.process(Charge("k", "ord_1", 2500, "USD", OnFile("ada@x.org")), Caller())
    for _ in range(2):
        refund_order(payments, "ord_1")
        payments.refund("pay_1")
    assert saved(payments) == [
        {"payment_id": "pay_1", "order_id": "ord_1", "amount_cents": 2500, "currency": "USD"}
    ]


@pytest.mark.parametrize("cancelled", [True, False])
def test_the_order_becomes_refunded_and_tells_of_it_once(
    store: Store,  # noqa: F811
    cancelled: bool,
) -> None:
    order = store.post(new_order()).json
    if cancelled:
        store.client.simulate_post(f"/orders/{order['id']}/cancel")
    payment: Any = {
        "payment_id": order["payment_id"],
        "order_id": order["id"],
        "amount_cents": 2500,
    }
    for _ in range(2):
        order_handlers.note(store.service, payment)
    assert store.get(f"/orders/{order['id']}").json["status"] == "refunded"
    rows = [row for row in store.outbox.pending() if row.event.topic == "order.refunded"]
    (row,) = rows
    assert payload_of(row) == {
        "order_id": order["id"],
        "customer_email": "ada@example.org",
        "amount_cents": 2500,
        "currency": "USD",
        "payment_id": order["payment_id"],
    }


def test_an_order_that_is_being_paid_is_tried_again_later(store: Store) -> None:  # noqa: F811
    found: list[type[BaseException]] = []

    def refund_meanwhile() -> None:
        (order,) = store.repository.page(1, None, None)
        payment: Any = {"payment_id": "pay_9", "order_id": order.id, "amount_cents": 1}
        with pytest.raises(Retry) as caught:
            order_handlers.note(store.service, payment)
        found.append(caught.type)
        assert isinstance(caught.value.__cause__, Problem)

    store.payments.before_answer = refund_meanwhile
    store.post(new_order())
    assert found == [Retry]


def test_a_refund_of_an_unknown_order_is_no_failure(store: Store) -> None:  # noqa: F811
    payment: Any = {"payment_id": "pay_9", "order_id": "ord_9", "amount_cents": 1}
    order_handlers.note(store.service, payment)
    assert store.outbox.pending() == []
