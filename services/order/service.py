"""What the order service does, with no word about Falcon: place, look up, list, cancel, sweep.

Charging and saving cannot be one transaction, so the attempt is saved first. An order is
`charging` from before its card is touched until the outcome is known, and the payment service
knows the order id as idempotency key: whatever happens in between, repeating the charge finds
out what became of it and never charges twice.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from threading import BoundedSemaphore

from services.order import answers
from services.order.answers import Answer
from services.order.events import OrderEvent
from services.order.model import CANCELLABLE, CURRENCY, NewCard, NewOrder, Order, Status
from services.order.payments import Declined, PaymentRefused, Payments, PaymentUnavailable
from services.order.problems import Problem
from services.order.repository import OrderRepository, Request
from taskflow.clock import Clock

ORDER_CREATED = "order.created"
ORDER_CANCELLED = "order.cancelled"
ORDER_REFUNDED = "order.refunded"
TOPICS = (ORDER_CREATED, ORDER_CANCELLED, ORDER_REFUNDED)

LEASE_MARGIN_SECONDS = 30.0
"""How much longer than its payment may take a request holds its order."""
ABANDON_AFTER_SECONDS = 900.0
"""How long an order of uncertain payment waits for its customer's repeat."""
KEEP_REQUESTS_SECONDS = 86_400.0

logger = logging.getLogger("services.order")


class OrderService:
    """Places and changes orders. Thread-safe; many processes may share one database.

    `new_id(prefix)` makes ids; `wake_relay` is called after events were saved;
    `payment_timeout` is how long (seconds) `payments` may take, `most_charges` how many of them
    may go on at once: a payment service that hangs must not take every thread.
    """

    def __init__(
        self,
        repository: OrderRepository,
        payments: Payments,
        clock: Clock,
        new_id: Callable[[str], str],
        wake_relay: Callable[[], None],
        payment_timeout: float,
        most_charges: int = 1000,
    ) -> None:
        self._repository = repository
        self._payments = payments
        self._clock = clock
        self._new_id = new_id
        self._wake_relay = wake_relay
        self._lease_seconds = payment_timeout + LEASE_MARGIN_SECONDS
        self._charges = BoundedSemaphore(most_charges)

    def place(self, new: NewOrder, key: str | None) -> Answer:
        """Create an order and charge what it costs: to its card, or else to the payment method
        that the customer has on file.

        With a `key` it is idempotent: the same request is answered as the first time. Raises
        Problem: 409 while the first request runs, 422 for another request under the same key
        or a card that cannot be, 503 when the payment is uncertain (repeat with the key) or too
        many are being made (nothing was stored).
        """
        if not new.total_cents:
            return self._place(new, key)
        known = None if key is None else self._repository.find_request(key)
        if known is not None and (known.answer or known.fingerprint != new.fingerprint()):
            return self._repeat(new, known)  # nothing is charged
        if not self._charges.acquire(blocking=False):
            raise Problem(
                503,
                "too-many-payments",
                "Too many payments are being made; nothing was stored, try again.",
                retry_after=1,
            )
        try:
            return self._place(new, key)
        finally:
            self._charges.release()

    def _place(self, new: NewOrder, key: str | None) -> Answer:
        costs = new.total_cents > 0
        now = self._clock.now()
        order = Order(
            id=self._new_id("ord"),
            customer_email=new.customer_email,
            items=tuple(new.items),
            total_cents=new.total_cents,
            currency=CURRENCY,
            status=Status.CHARGING if costs else Status.PENDING,
            created_at=now,
            updated_at=now,
            locked_until=now + self._lease_seconds if costs else 0.0,
        )
        answer = None if costs else answers.created(order)
        request = Request(key, new.fingerprint(), order.id, answer) if key else None
        events = [] if costs else [self._created_event(order)]
        taken = self._repository.add(order, request, events)
        if taken is not None:
            return self._repeat(new, taken)
        if answer is not None:
            self._wake_relay()
            return answer
        return self._charge(order, new.payment, first=True)

    def get(self, order_id: str) -> Order:
        """The order of that id; raises Problem 404."""
        order = self._repository.find(order_id)
        if order is None:
            raise Problem(404, "order-not-found", "There is no such order.")
        return order

    def page(self, limit: int, before: int | None, status: Status | None) -> list[Order]:
        """Up to `limit` orders, newest first, older than the one numbered `before`."""
        return self._repository.page(limit, before, status)

    def cancel(self, order_id: str, reason: str) -> Order:
        """Cancel a pending or paid order; its payment is refunded by whoever hears the event.

        Idempotent. Raises Problem: 404, or 409 when the order cannot be cancelled (now).
        """
        while True:
            order = self.get(order_id)
            if order.status in (Status.CANCELLED, Status.REFUNDED):
                return order
            if order.status is Status.CHARGING:
                raise Problem(
                    409, "order-charging", "The order is being paid; try again.", retry_after=2
                )
            if order.status not in CANCELLABLE:
                raise Problem(
                    409, "order-not-cancellable", f"An order that is {order.status} stays so."
                )
            cancelled = self._changed(order, Status.CANCELLED)
            if self._repository.change(
                cancelled, events=[self._cancelled_event(cancelled, reason)]
            ):
                self._wake_relay()
                return cancelled

    def refund(self, order_id: str, payment_id: str, amount_cents: int) -> None:
        """Note that the money of an order was given back. Idempotent.

        Raises Problem 409 while the order is being paid: try again.
        """
        while True:
            order = self._repository.find(order_id)
            if order is None:
                logger.warning("payment %s was refunded, but its order is unknown", payment_id)
                return
            if order.status is Status.CHARGING:
                raise Problem(409, "order-charging", "The order is being paid; try again.")
            if order.status not in (Status.PAID, Status.CANCELLED):
                return
            refunded = replace(self._changed(order, Status.REFUNDED), payment_id=payment_id)
            event = self._event(ORDER_REFUNDED, refunded, refunded.refunded_payload(amount_cents))
            if self._repository.change(refunded, events=[event]):
                self._wake_relay()
                return

    def sweep(self) -> int:
        """Close what nobody came back for, and forget what is old; answers how many closed.

        An order whose payment stayed uncertain is cancelled, and the event makes the payment
        service refund it if it was charged after all.
        """
        now = self._clock.now()
        closed = 0
        for order in self._repository.unsettled(now - ABANDON_AFTER_SECONDS):
            cancelled = self._changed(order, Status.CANCELLED)
            event = self._cancelled_event(cancelled, "payment uncertain")
            if self._repository.change(cancelled, answers.abandoned(cancelled), [event]):
                logger.warning("order %s cancelled: its payment stayed uncertain", order.id)
                closed += 1
        if closed:
            self._wake_relay()
        self._repository.forget_requests(now - KEEP_REQUESTS_SECONDS)
        return closed

    def _repeat(self, new: NewOrder, request: Request) -> Answer:
        """A request whose key was seen before."""
        if request.fingerprint != new.fingerprint():
            raise Problem(
                422, "idempotency-key-reused", "This Idempotency-Key was used for another order."
            )
        if request.answer is not None:
            return replace(request.answer, replayed=True)
        now = self._clock.now()
        order = self._repository.find(request.order_id)
        if order is not None and order.status is Status.CHARGING and order.locked_until <= now:
            # Whoever was charging it has failed or died: take it over.
            leased = replace(
                order, version=order.version + 1, locked_until=now + self._lease_seconds
            )
            if self._repository.change(leased):
                return self._charge(leased, new.payment, first=False)
        raise Problem(
            409,
            "request-in-progress",
            "The first request with this Idempotency-Key is still running.",
            retry_after=2,
        )

    def _charge(self, order: Order, card: NewCard | None, *, first: bool) -> Answer:
        try:
            outcome = self._payments.charge(order, card)
        except PaymentUnavailable as error:
            logger.warning("order %s: %s", order.id, error)
            self._release(order)
            raise Problem(
                503,
                "payment-unavailable",
                "The payment cannot be settled now. A request that carried an Idempotency-Key may"
                " be repeated with it: the card is not charged twice. Without one the order is"
                " given up, and a charge refunded.",
                retry_after=2,
            ) from None
        except PaymentRefused as error:
            # An earlier attempt may have charged the card: then the order must not vanish.
            if first:
                self._repository.discard(order)
            else:
                self._release(order)
            raise Problem(
                422, "invalid-order", "The payment is not valid.", errors=error.errors
            ) from None
        if isinstance(outcome, Declined):
            settled = replace(self._changed(order, Status.DECLINED), payment_id=outcome.payment_id)
            return self._settle(settled, answers.declined(settled, outcome.code), [])
        settled = replace(self._changed(order, Status.PAID), payment_id=outcome.payment_id)
        return self._settle(settled, answers.created(settled), [self._created_event(settled)])

    def _settle(self, order: Order, answer: Answer, events: list[OrderEvent]) -> Answer:
        if self._repository.change(order, answer, events):
            self._wake_relay()
            return answer
        # The lease ran out and somebody else dealt with the order.
        current = self.get(order.id)
        if current.status not in (Status.CANCELLED, Status.REFUNDED):
            raise Problem(
                409, "request-in-progress", "A repeat of this request runs.", retry_after=2
            )
        # It was swept before the charge went through: have that charge refunded, too.
        late = replace(current, payment_id=order.payment_id)
        self._repository.add_event(self._cancelled_event(late, "payment came too late"))
        self._wake_relay()
        return answers.abandoned(current)

    def _release(self, order: Order) -> None:
        """Let a repeat take the order over at once."""
        self._repository.change(replace(order, version=order.version + 1, locked_until=0.0))

    def _changed(self, order: Order, status: Status) -> Order:
        return replace(
            order,
            status=status,
            version=order.version + 1,
            updated_at=self._clock.now(),
            locked_until=0.0,
        )

    def _created_event(self, order: Order) -> OrderEvent:
        return self._event(ORDER_CREATED, order, order.created_payload())

    def _cancelled_event(self, order: Order, reason: str) -> OrderEvent:
        return self._event(ORDER_CANCELLED, order, order.cancelled_payload(reason))

    def _event(self, topic: str, order: Order, payload: dict[str, object]) -> OrderEvent:
        return OrderEvent(self._new_id("evt"), topic, order.id, payload, self._clock)
