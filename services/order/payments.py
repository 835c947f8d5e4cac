"""Charges cards at the payment service, over gRPC."""

from dataclasses import dataclass
from typing import Protocol

import grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from proto.payment.v1 import payment_pb2 as pb
from proto.payment.v1 import payment_pb2_grpc as pb_grpc
from services.channels import open_payment_channel
from services.order.model import NewCard, Order
from services.order.reading import FieldError

HEALTH_TIMEOUT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Charged:
    """The card was charged."""

    payment_id: str


@dataclass(frozen=True, slots=True)
class Declined:
    """The card was refused; `code` says why, such as `insufficient_funds`."""

    payment_id: str
    code: str


class PaymentUnavailable(Exception):
    """No answer: the card may have been charged or not. Repeat the same charge to find out."""


class PaymentRefused(Exception):
    """The payment service calls the request impossible; nothing was charged."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("the payment service refused: " + ", ".join(e.pointer for e in errors))
        self.errors = errors


class Payments(Protocol):
    """Whoever charges cards."""

    def charge(self, order: Order, card: NewCard | None) -> Charged | Declined:
        """Charge the order's total to the card, or without one to what the customer has on file;
        once per order however often it is called.

        Raises PaymentUnavailable or PaymentRefused.
        """
        ...


# Where the fields of a ProcessPaymentRequest come from in the body of POST /orders.
_POINTERS = {
    "card.number": "#/payment/card_number",
    "card.exp_month": "#/payment/exp_month",
    "card.exp_year": "#/payment/exp_year",
    "card.cvc": "#/payment/cvc",
    "amount_cents": "#/items",
}


class GrpcPayments:
    """The payment service at `address` (host:port). Thread-safe; connects at the first call.

    `timeout`: seconds for one charge, repeats included. `key`: what a payment service on another
    machine wants of who acts for customers. `credentials`: TLS; without, it is spoken to in clear.
    """

    def __init__(
        self,
        address: str,
        timeout: float,
        key: str = "",
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self._key = key
        self._channel = open_payment_channel(address, credentials)
        self._stub = pb_grpc.PaymentServiceStub(self._channel)
        self._health = health_pb2_grpc.HealthStub(self._channel)
        self._timeout = timeout

    def charge(self, order: Order, card: NewCard | None) -> Charged | Declined:
        """Charge the order's total; the order id is the idempotency key, and the customer's
        address says who that is."""
        request = pb.ProcessPaymentRequest(
            idempotency_key=order.id,
            order_id=order.id,
            amount_cents=order.total_cents,
            currency=order.currency,
        )
        if card is None:
            request.saved.customer_id = customer_of(order.customer_email)
        else:
            request.card.number = card.card_number
            request.card.exp_month, request.card.exp_year = card.exp_month, card.exp_year
            request.card.cvc = card.cvc
        metadata = [("authorization", f"Bearer {self._key}")] if self._key else None
        try:
            payment = self._stub.ProcessPayment(
                request, timeout=self._timeout, metadata=metadata
            ).payment
        except grpc.RpcError as error:
            raise _translate(error) from None
        if payment.status == pb.PAYMENT_STATUS_DECLINED:
            name = pb.DeclineCode.Name(payment.decline_code)
            return Declined(payment.id, name.removeprefix("DECLINE_CODE_").lower())
        if payment.status == pb.PAYMENT_STATUS_APPROVED:
            return Charged(payment.id)
        raise PaymentUnavailable("the payment was refunded meanwhile")

    def check(self) -> None:
        """Raise PaymentUnavailable unless the payment service says that it serves."""
        request = health_pb2.HealthCheckRequest(service="payment.v1.PaymentService")
        try:
            answer = self._health.Check(request, timeout=HEALTH_TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            raise PaymentUnavailable(f"payment answers {error.code().name}") from None
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise PaymentUnavailable("payment is not serving")

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


def customer_of(email: str) -> str:
    """Who a customer is to the payment service: the address, whose domain has no case."""
    local, _, domain = email.rpartition("@")
    return f"{local}@{domain.lower()}"


def _translate(error: grpc.RpcError) -> Exception:
    """Every failure but a clear refusal leaves it open whether the card was charged."""
    if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
        return PaymentRefused(_read_violations(error))
    return PaymentUnavailable(f"payment answers {error.code().name}: {error.details()}")


def _read_violations(error: grpc.RpcError) -> list[FieldError]:
    status = rpc_status.from_call(error)
    bad_request = error_details_pb2.BadRequest()
    for detail in status.details if status else ():
        if detail.Unpack(bad_request):
            break
    found = [
        FieldError(_POINTERS.get(each.field, "#/payment"), each.description)
        for each in bad_request.field_violations
    ]
    return found or [FieldError("#/payment", "was refused by the payment service")]
