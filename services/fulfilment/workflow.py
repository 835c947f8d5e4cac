"""The fulfilment of an order, from its reservation to its parcel; and how it is given up."""

import logging
import os
from functools import cache
from typing import Literal

from services.fulfilment.config import Config
from services.fulfilment.events import ORDER_FULFILLED, Item, OrderFulfilled, ParcelShipped
from services.fulfilment.refunds import GrpcRefunds, RefundRefused, Refunds
from services.fulfilment.stock import State, Stock
from taskflow import Reject, RetryPolicy, Run, publish, workflow
from taskflow.clock import SystemClock

QUEUE = "fulfilment"
SHIP_WITHIN = "3d"
"""How long an order waits for its parcel before its money is given back."""
PATIENT = RetryPolicy(retries=100, maximum=3600.0)
"""For what must be done some time: four days of attempts, the last ones an hour apart."""

logger = logging.getLogger("services.fulfilment")

Outcome = Literal["fulfilled", "shipped before", "cancelled", "refunded"]


@cache
def get_stock() -> Stock:
    """The stock of this process, opened at its first use from FULFILMENT_*."""
    config = Config.from_environ(os.environ)
    return Stock.open(config.database, SystemClock(), config.pieces)


@cache
def get_refunds() -> Refunds:
    """The payment service as this process knows it, from FULFILMENT_*."""
    config = Config.from_environ(os.environ)
    credentials = config.payment_certificates.for_client()
    return GrpcRefunds(config.payment_address, config.payment_timeout, credentials)


def run_of(order_id: str) -> str:
    """The id of the run that fulfils an order: there is one, however often it is begun."""
    return f"fulfil-{order_id}"


@workflow(queue=QUEUE, policy=PATIENT)
def give_up(order_id: str, items: list[Item], payment_id: str | None, ctx: Run) -> None:
    """Give the pieces back to the stock and the money to the customer. The payment service tells
    of the refund, and order of the customer's: an e-mail follows from that.

    It takes what `fulfil` takes, since it is also called when a run of that is cancelled.
    """
    ctx.step(release, order_id)
    if payment_id is not None:
        ctx.options(policy=PATIENT).step(refund, payment_id)


@workflow(
    queue=QUEUE,
    key="order_id",
    on={"parcel.shipped": "order_id"},
    on_cancel=give_up,
    policy=PATIENT,
)
def fulfil(order_id: str, items: list[Item], payment_id: str | None, ctx: Run) -> Outcome:
    """Reserve what was ordered, wait for the parcel, tell that the order is fulfilled. What is
    sold out, or not shipped within SHIP_WITHIN, is given up."""

    def reserve() -> State:
        state = get_stock().reserve(ctx.key, order_id, items)
        logger.info("order %s: its reservation is %s", order_id, state)
        return state

    state = ctx.step(reserve)
    if state is State.RELEASED:  # whoever cancelled it came first, and the money is on its way
        return "cancelled"
    if state is State.SHIPPED:  # by a run that is long forgotten
        return "shipped before"
    parcel = None
    if state is State.HELD:
        parcel = ctx.wait("parcel.shipped", SHIP_WITHIN, type=ParcelShipped)
    if parcel is None:
        ctx.call(give_up, order_id, items, payment_id)
        return "refunded"
    if not ctx.step(ship, order_id):
        return "cancelled"
    told = OrderFulfilled(order_id=order_id, tracking_number=parcel.get("tracking_number", ""))
    publish(ORDER_FULFILLED, told, source=QUEUE, subject=order_id)
    return "fulfilled"


def ship(order_id: str) -> bool:
    """The pieces have left; False when they were given back before."""
    shipped = get_stock().ship(order_id)
    logger.info("order %s: its parcel %s", order_id, "has left" if shipped else "was given up")
    return shipped


def release(order_id: str) -> None:
    """The pieces are free again."""
    get_stock().release(order_id)
    logger.info("order %s: nothing is reserved for it any more", order_id)


def refund(payment_id: str) -> int:
    """The customer has the money back: how much, in hundredths of the currency."""
    try:
        cents = get_refunds().refund(payment_id)
    except RefundRefused as error:
        raise Reject(str(error)) from error
    logger.info("payment %s: %d cents are given back", payment_id, cents)
    return cents
