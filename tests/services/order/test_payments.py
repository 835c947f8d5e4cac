"""The order service against the real payment service, over real gRPC."""

import logging
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from services.order.model import NewCard, NewItem, Order, Status
from services.order.payments import (
    Charged,
    Declined,
    GrpcPayments,
    PaymentRefused,
    PaymentUnavailable,
)
from services.payment.repository import PaymentRepository
from services.payment.server import PaymentServer
from services.payment.service import PaymentService
from taskflow import SystemClock
from tests.services.order.doubles import CARD, Store, new_order

ORDER = Order(
    id="ord_1",
    customer_email="ada@example.org",
    items=(NewItem("Lamp", 1, 2500),),
    total_cents=2500,
    currency="USD",
    status=Status.CHARGING,
    created_at=0,
    updated_at=0,
)


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[PaymentRepository]:
    repository = PaymentRepository.open(f"sqlite:///{tmp_path / 'payment.db'}")
    yield repository
    repository.close()


@pytest.fixture
def server(repository: PaymentRepository) -> Iterator[PaymentServer]:
    ids = count(1)
    service = PaymentService(repository, SystemClock(), lambda: f"pay_{next(ids)}", 100_000)
    server = PaymentServer(service, "127.0.0.1", 0)
    server.start()
    yield server
    server.stop(0)


@pytest.fixture
def payments(server: PaymentServer) -> Iterator[GrpcPayments]:
    payments = GrpcPayments(f"127.0.0.1:{server.port}", timeout=20)
    yield payments
    payments.close()


def card(**changes: Any) -> NewCard:
    return NewCard(**(CARD | changes))


def test_charge_is_repeated_safely(payments: GrpcPayments) -> None:
    assert payments.charge(ORDER, card()) == Charged("pay_1")
    assert payments.charge(ORDER, card()) == Charged("pay_1")


def test_decline_carries_its_reason(payments: GrpcPayments) -> None:
    declined = payments.charge(ORDER, card(card_number="4000000000009995"))
    assert declined == Declined("pay_1", "insufficient_funds")


def test_bad_card_points_into_the_order(payments: GrpcPayments) -> None:
    with pytest.raises(PaymentRefused) as caught:
        payments.charge(ORDER, card(card_number="4242424242424241", cvc="1"))
    pointers = {each.pointer for each in caught.value.errors}
    assert pointers == {"#/payment/card_number", "#/payment/cvc"}


def test_card_network_that_never_answers_is_unavailable(
    server: PaymentServer, repository: PaymentRepository
) -> None:
    hasty = GrpcPayments(f"127.0.0.1:{server.port}", timeout=0.3)
    with pytest.raises(PaymentUnavailable, match="DEADLINE_EXCEEDED"):
        hasty.charge(ORDER, card(card_number="4000000000000408"))
    hasty.close()
    assert repository.find_by_key("ord_1") is None


def test_stopped_payment_service_is_unavailable(
    server: PaymentServer, payments: GrpcPayments
) -> None:
    payments.check()
    server.stop(0)
    with pytest.raises(PaymentUnavailable):
        payments.charge(ORDER, card())
    with pytest.raises(PaymentUnavailable):
        payments.check()


def test_no_card_number_in_any_log_or_file(
    store: Store, payments: GrpcPayments, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store.service._payments = payments
    for number in ("4242424242424242", "4000000000000002", "4242424242424241"):
        store.post(new_order(payment=CARD | {"card_number": number}), key=number[::-1])
    store.post(new_order(payment=CARD | {"exp_month": 99}))
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert written.count(b"ord_") > 4, "the databases are among the files"
    for number in ("4242424242424242", "4000000000000002", "4242424242424241"):
        assert number.encode() not in written
        assert number not in caplog.text
    assert "'cvc'" not in caplog.text
