"""The worker side of order: a refunded payment brings its order to `refunded`."""

import os
from functools import cache
from typing import TypedDict

from services.database import open_database
from services.order.config import Config
from services.order.ids import new_id
from services.order.payments import GrpcPayments
from services.order.problems import Problem
from services.order.repository import OrderRepository
from services.order.service import OrderService
from services.order.tables import metadata
from taskflow import Retry, subscribe
from taskflow.clock import SystemClock


class PaymentRefunded(TypedDict):
    """What order needs to know of the event `payment.refunded`; it says more."""

    payment_id: str
    order_id: str
    amount_cents: int


@cache
def get_service() -> OrderService:
    """The service of this process, opened at the first event from ORDER_*. Its events are published
    by the relay of the order service, if not by itself."""
    config = Config.from_environ(os.environ)
    engine = open_database(config.database, metadata)
    payments = GrpcPayments(config.payment_address, config.payment_timeout, config.payment_key)
    return OrderService(
        OrderRepository(engine, config.save),
        payments,
        SystemClock(),
        new_id,
        lambda: None,
        config.payment_timeout,
    )


@subscribe("payment.refunded", queue="orders", retries=40, backoff=30.0)
def note_refund(payment: PaymentRefunded) -> None:
    """The customer has the money back: say so of the order. Idempotent."""
    note(get_service(), payment)


def note(service: OrderService, payment: PaymentRefunded) -> None:
    """As `note_refund`, with a service."""
    try:
        service.refund(payment["order_id"], payment["payment_id"], payment["amount_cents"])
    except Problem as error:
        raise Retry(reason=str(error)) from error
