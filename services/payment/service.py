"""What the payment service does, with no word about gRPC: charge once, look up, refund.

The errors it raises:

PaymentError
 ├─ InvalidRequest       fields that cannot be; carries every violation
 ├─ KeyReused            the idempotency key belongs to another request
 ├─ PaymentNotFound      no payment of that id
 ├─ NotRefundable        a declined payment has nothing to give back
 ├─ MethodNotFound       the customer has no such payment method
 └─ OutOfTime            the caller has gone, or will be before the work is done
"""

import hashlib
import json
import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from threading import Condition
from typing import Protocol

from services.payment.cards import (
    TIMEOUT_NUMBER,
    Brand,
    Card,
    Decline,
    Violation,
    check_card,
    find_brand,
)
from services.payment.currencies import CURRENCIES
from services.payment.gateway import Gateway, TestGateway
from services.payment.methods import Method, MethodRepository
from services.payment.repository import Payment, PaymentRepository, Status
from taskflow.clock import Clock

MIN_REMAINING_SECONDS = 0.05
"""With less time than this left, a charge is not started: its answer would come too late."""


class PaymentError(Exception):
    """Base of what the service refuses."""


class InvalidRequest(PaymentError):
    """Fields of the request cannot be; `violations` names every one."""

    def __init__(self, violations: list[Violation]) -> None:
        super().__init__("invalid: " + ", ".join(each.field for each in violations))
        self.violations = violations


class KeyReused(PaymentError):
    """The idempotency key was used before, for another request."""


class PaymentNotFound(PaymentError):
    """No payment of that id."""


class NotRefundable(PaymentError):
    """The payment was declined: there is nothing to give back."""


class MethodNotFound(PaymentError):
    """The customer never had this payment method."""


class OutOfTime(PaymentError):
    """The caller's deadline is too near or has passed. Nothing was charged."""


class Caller(Protocol):
    """Whoever waits for the answer."""

    def remaining(self) -> float:
        """Seconds until the caller gives up; infinite without a deadline, 0 once it has gone."""
        ...

    def on_leave(self, callback: Callable[[], None]) -> None:
        """Have `callback` called, on any thread, when the caller gives up; at once if it did."""
        ...


@dataclass(frozen=True, slots=True)
class Charge:
    """A request to charge a card, or what a customer has on file. Money in hundredths of the
    currency."""

    idempotency_key: str
    order_id: str
    amount_cents: int
    currency: str
    source: "Card | OnFile"


@dataclass(frozen=True, slots=True)
class OnFile:
    """A payment method on file; the customer's default when `method_id` is empty."""

    customer_id: str
    method_id: str = ""


def fingerprint(charge: Charge) -> str:
    """What makes two requests with one key the same request.

    Of the card it holds only what may be stored: a hash of the full number could be reversed by
    trying them all. Two cards that share last digits and expiry count as one, which is safe:
    the stored payment is answered and nothing is charged.
    """
    source = charge.source
    parts = [charge.order_id, charge.amount_cents, charge.currency]
    if isinstance(source, Card):
        parts += [source.last4, source.exp_month, source.exp_year]
    else:
        parts += ["on file", source.customer_id, source.method_id]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class PaymentService:
    """Charges and refunds. Thread-safe.

    `new_id` makes payment ids; `max_amount_cents` is the most one charge may take; `refunded` is
    called after the event of a refund was saved.
    """

    def __init__(
        self,
        repository: PaymentRepository,
        clock: Clock,
        new_id: Callable[[], str],
        max_amount_cents: int,
        gateway: Gateway | None = None,
        refunded: Callable[[], None] = lambda: None,
    ) -> None:
        self._repository = repository
        self._methods = MethodRepository(repository.engine)
        self._gateway = gateway or TestGateway()
        self._refunded = refunded
        self._clock = clock
        self._new_id = new_id
        self._max_amount_cents = max_amount_cents

    def process(self, charge: Charge, caller: Caller) -> Payment:
        """Charge a card. Idempotent by the charge's key.

        Raises InvalidRequest, KeyReused, or OutOfTime (nothing charged; repeat with the key).
        """
        violations = list(self._check(charge))
        if violations:
            raise InvalidRequest(violations)
        stored = self._repository.find_by_key(charge.idempotency_key)
        if stored is None:
            if isinstance(charge.source, Card) and charge.source.number == TIMEOUT_NUMBER:
                self._wait_for_ever(caller)
            stored = self._charge(charge, caller)
        if stored.fingerprint != fingerprint(charge):
            raise KeyReused("idempotency_key was used for another payment")
        return stored

    def get(self, payment_id: str) -> Payment:
        """The payment of that id; raises PaymentNotFound."""
        payment = self._repository.find(payment_id)
        if payment is None:
            raise PaymentNotFound("no such payment")
        return payment

    def refund(self, payment_id: str) -> Payment:
        """Give the whole amount back. Idempotent. Raises PaymentNotFound, NotRefundable."""
        payment = self.get(payment_id)
        if payment.status is Status.DECLINED:
            raise NotRefundable("the payment was declined: there is nothing to refund")
        if payment.status is Status.APPROVED:
            if payment.reference is not None:
                self._gateway.refund(payment.reference, payment.amount_cents, payment_id)
            self._repository.mark_refunded(payment_id, self._clock.now(), self._clock)
            self._refunded()
        return self.get(payment_id)

    def save_method(self, customer_id: str, card: Card) -> Method:
        """Keep a card for a customer, as a token. Raises InvalidRequest."""
        violations = [*_check_customer(customer_id), *check_card(card, self._clock.now())]
        if violations:
            raise InvalidRequest(violations)
        brand = find_brand(card.number)
        assert brand is not None, "checked before"
        method = Method(
            id=f"pm_{secrets.token_hex(12)}",
            customer_id=customer_id,
            token=self._gateway.tokenise(card),
            card_brand=brand,
            card_last4=card.last4,
            exp_month=card.exp_month,
            exp_year=card.exp_year,
            created_at=self._clock.now(),
        )
        self._methods.save(method)
        return method

    def list_methods(self, customer_id: str) -> list[Method]:
        """What a customer has on file, the default first. Raises InvalidRequest."""
        if violations := list(_check_customer(customer_id)):
            raise InvalidRequest(violations)
        return self._methods.of(customer_id)

    def remove_method(self, customer_id: str, method_id: str) -> None:
        """Take a method away. Idempotent. Raises InvalidRequest, MethodNotFound."""
        if violations := list(_check_customer(customer_id)):
            raise InvalidRequest(violations)
        if not self._methods.remove(customer_id, method_id, self._clock.now()):
            raise MethodNotFound("no such payment method")

    def refund_order(self, order_id: str) -> list[Payment]:
        """Refund every approved payment of an order; answers those refunded now. Idempotent."""
        return [self.refund(each.id) for each in self._repository.approved_of_order(order_id)]

    def _charge(self, charge: Charge, caller: Caller) -> Payment:
        brand, last4, source = self._find_source(charge)
        # The last look before money moves. The gateway charges a key once, so a call that dies
        # between its answer and the row is found out by the repeat.
        if caller.remaining() < MIN_REMAINING_SECONDS:
            raise OutOfTime("too little time left; nothing was charged")
        reference: str | None = None
        declined: Decline | None = Decline.NO_PAYMENT_METHOD
        if source is not None:
            reference, declined = self._gateway.charge(
                source, charge.amount_cents, charge.currency, charge.idempotency_key
            )
        payment = Payment(
            id=self._new_id(),
            idempotency_key=charge.idempotency_key,
            fingerprint=fingerprint(charge),
            order_id=charge.order_id,
            status=Status.DECLINED if declined else Status.APPROVED,
            amount_cents=charge.amount_cents,
            currency=charge.currency,
            card_brand=brand,
            card_last4=last4,
            decline_code=declined,
            reference=reference,
            created_at=self._clock.now(),
        )
        return self._repository.add(payment)

    def _find_source(self, charge: Charge) -> tuple[Brand | None, str, Card | str | None]:
        """Brand and last digits of what is to be charged, and the card or token; None when there
        is nothing to charge."""
        source = charge.source
        if isinstance(source, Card):
            return find_brand(source.number), source.last4, source
        on_file = self._methods.of(source.customer_id)
        if chosen := [one for one in on_file if source.method_id in ("", one.id)]:
            return chosen[0].card_brand, chosen[0].card_last4, chosen[0].token
        default = self._gateway.default_method
        if default is None or source.method_id or self._methods.is_known(source.customer_id):
            return None, "", None
        return default

    def _wait_for_ever(self, caller: Caller) -> None:
        """What a card network that never answers looks like: wait until the caller leaves."""
        left = Condition()

        def wake() -> None:
            with left:
                left.notify_all()

        caller.on_leave(wake)
        with left:
            while (remaining := caller.remaining()) > 0:
                self._clock.wait(left, min(remaining, 60.0))
        raise OutOfTime("the card network did not answer in time; nothing was charged")

    def _check(self, charge: Charge) -> Iterator[Violation]:
        if not re.fullmatch(r"[ -~]{1,255}", charge.idempotency_key):
            yield Violation("idempotency_key", "must be 1 to 255 printable ASCII characters")
        if not re.fullmatch(r"[!-~]{1,64}", charge.order_id):
            yield Violation("order_id", "must be 1 to 64 printable ASCII characters, no spaces")
        if not 1 <= charge.amount_cents <= self._max_amount_cents:
            yield Violation("amount_cents", f"must be 1 to {self._max_amount_cents}")
        if charge.currency not in CURRENCIES:
            yield Violation("currency", "must be an ISO 4217 code of three capital letters")
        if isinstance(charge.source, Card):
            yield from check_card(charge.source, self._clock.now())
        else:
            yield from _check_customer(charge.source.customer_id, "saved.customer_id")


def _check_customer(customer_id: str, field: str = "customer_id") -> Iterator[Violation]:
    if not re.fullmatch(r"[^\x00-\x20\x7f-\x9f\u2028-\u202e\ufffe\uffff]{1,254}", customer_id):
        yield Violation(field, "must be 1 to 254 characters, no spaces and no control characters")
