"""The worker side of payment: a cancelled order gets its money back."""

import logging
import os
from functools import cache
from typing import TypedDict

from services.payment.config import Config
from services.payment.ids import new_payment_id
from services.payment.repository import PaymentRepository
from services.payment.service import PaymentService
from taskflow import subscribe
from taskflow.clock import SystemClock

logger = logging.getLogger("services.payment")


class OrderCancelled(TypedDict):
    """What refunds need to know of the event `order.cancelled`; it says more."""

    order_id: str


@cache
def get_service() -> PaymentService:
    """The service of this process, opened at the first event from PAYMENT_*."""
    config = Config.from_environ(os.environ)
    repository = PaymentRepository.open(config.database)
    return PaymentService(repository, SystemClock(), new_payment_id, config.max_amount_cents)


@subscribe("order.cancelled", queue="refunds", retries=5, backoff=1.0)
def refund(order: OrderCancelled) -> None:
    """Refund what was paid for a cancelled order, if anything was. Idempotent."""
    refund_order(get_service(), order["order_id"])


def refund_order(service: PaymentService, order_id: str) -> None:
    """Refund by order, not by the event's payment id.

    An order may be cancelled just because nobody knows whether its charge went through; then
    the event has no payment id, but the payment may exist.
    """
    refunded = service.refund_order(order_id)
    for payment in refunded:
        logger.info(
            "payment %s of order %s: refunded %d cents (%s)",
            payment.id,
            order_id,
            payment.amount_cents,
            payment.currency,
        )
    if not refunded:
        logger.info("order %s: nothing to refund", order_id)
