"""Refunds: a cancelled order gets its money back, once."""

from pathlib import Path

import pytest

from services.payment import handlers
from services.payment.cards import Brand
from services.payment.repository import Payment, PaymentRepository, Status
from taskflow import Registry, publish
from taskflow.testing import drain, memory_broker
from taskflow.topology import declare


@pytest.fixture
def paid(repository: PaymentRepository) -> Payment:
    return repository.add(
        Payment(
            id="pay_1",
            idempotency_key="ord_1",
            fingerprint="-",
            order_id="ord_1",
            status=Status.APPROVED,
            amount_cents=2500,
            currency="USD",
            card_brand=Brand.VISA,
            card_last4="4242",
            decline_code=None,
            created_at=0.0,
        )
    )


def test_cancelled_order_is_refunded_through_the_queue(
    repository: PaymentRepository,
    paid: Payment,
    database: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PAYMENT_DATABASE", f"sqlite:///{database}")
    handlers.get_service.cache_clear()
    registry = Registry()
    registry.subscribe("order.cancelled", queue="refunds")(handlers.refund)
    broker = memory_broker()
    declare(broker, registry)
    for order_id in ("ord_1", "ord_1", "ord_unpaid"):
        publish("order.cancelled", {"order_id": order_id, "payment_id": None}, broker=broker)
    assert len(drain(broker, registry)) == 3
    refunded = repository.find(paid.id)
    assert refunded is not None
    assert refunded.status is Status.REFUNDED
    broker.close()
    handlers.get_service()._repository.close()
    handlers.get_service.cache_clear()
