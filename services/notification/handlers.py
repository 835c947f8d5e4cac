"""The worker side of notification: one e-mail to the customer of each new order."""

import logging
import os
from email.message import EmailMessage
from functools import cache

from services.notification.config import Config
from services.notification.message import (
    BadAddress,
    OrderCreated,
    OrderRefunded,
    compose,
    compose_refund,
)
from services.notification.repository import AlreadySent, BeingSent, NotificationRepository
from services.notification.sender import PermanentFailure, Sender, make_sender
from services.tracing import span
from taskflow import Context, Reject, Retry, subscribe
from taskflow.clock import Clock, SystemClock

CLAIM_SECONDS = 60.0
"""Longer than sending takes: a claim this old belongs to a worker that died."""

logger = logging.getLogger("services.notification")


class Notifier:
    """Sends one e-mail for each order. Thread-safe.

    Claim, send, mark: a repeated event finds the mark and sends nothing. One window stays open,
    as SMTP knows no transactions: a worker that dies after the server took the e-mail and before
    it is marked makes a second copy. That copy has the same Message-ID and the same bytes.
    """

    def __init__(
        self, repository: NotificationRepository, sender: Sender, sender_address: str, clock: Clock
    ) -> None:
        self._repository = repository
        self._sender = sender
        self._sender_address = sender_address
        self._clock = clock

    def confirm(self, order: OrderCreated, event_time: float) -> None:
        """Send the confirmation unless it was sent.

        Raises Retry while another worker sends it, Reject when it can never be sent, and
        TemporaryFailure when it cannot be sent now.
        """
        try:
            message = compose(order, self._sender_address, event_time)
        except BadAddress as error:
            raise Reject(str(error)) from error
        self._send_once(f"order.created:{order['order_id']}", message)

    def tell_of_refund(self, order: OrderRefunded, event_time: float) -> None:
        """Tell the customer that the money is back, unless that was told. Raises as `confirm`."""
        try:
            message = compose_refund(order, self._sender_address, event_time)
        except BadAddress as error:
            raise Reject(str(error)) from error
        self._send_once(f"order.refunded:{order['order_id']}", message)

    def _send_once(self, key: str, message: EmailMessage) -> None:
        now = self._clock.now()
        try:
            self._repository.claim(key, now, now + CLAIM_SECONDS)
        except AlreadySent:
            logger.info("%s: its e-mail was sent before", key)
            return
        except BeingSent as busy:
            raise Retry(after=max(0.0, busy.until - now)) from busy
        try:
            with span("send e-mail"):
                self._sender.send(message)
        except PermanentFailure as error:
            self._repository.release(key)
            raise Reject(str(error)) from error
        except Exception:
            self._repository.release(key)
            raise
        self._repository.mark_sent(key, self._clock.now())


@cache
def get_notifier() -> Notifier:
    """The notifier of this process, opened at the first event from NOTIFICATION_*."""
    config = Config.from_environ(os.environ)
    repository = NotificationRepository.open(config.database)
    return Notifier(repository, make_sender(config), config.sender, SystemClock())


@subscribe("order.created", queue="notifications", retries=5, backoff=1.0)
def send_confirmation(order: OrderCreated, ctx: Context) -> None:
    """Tell the customer that the order was taken."""
    get_notifier().confirm(order, ctx.event.time)


@subscribe("order.refunded", queue="notifications", retries=5, backoff=1.0)
def send_refund(order: OrderRefunded, ctx: Context) -> None:
    """Tell the customer that the money was given back."""
    get_notifier().tell_of_refund(order, ctx.event.time)
