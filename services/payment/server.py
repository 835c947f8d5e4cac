"""The payment service on gRPC: translates messages and errors, and runs the server."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn, TypeVar

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status
from sqlalchemy.exc import OperationalError

from proto.payment.v1 import payment_pb2 as pb
from proto.payment.v1 import payment_pb2_grpc as pb_grpc
from services.payment.callers import CustomerRights
from services.payment.cards import Card
from services.payment.methods import Method
from services.payment.repository import Payment
from services.payment.service import (
    Charge,
    InvalidRequest,
    KeyReused,
    MethodNotFound,
    NotRefundable,
    OnFile,
    OutOfTime,
    PaymentError,
    PaymentNotFound,
    PaymentService,
)
from services.tracing import server_interceptors
from taskflow.clock import Clock, SystemClock
from taskflow.text import printable

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["PaymentService"].full_name
THREADS = 16
MOST_SECONDS = 30.0
MAX_MESSAGE_BYTES = 64 * 1024

Answer = TypeVar("Answer")

logger = logging.getLogger("services.payment")

_CODES: dict[type[PaymentError], int] = {
    InvalidRequest: code_pb2.INVALID_ARGUMENT,
    KeyReused: code_pb2.ALREADY_EXISTS,
    PaymentNotFound: code_pb2.NOT_FOUND,
    MethodNotFound: code_pb2.NOT_FOUND,
    NotRefundable: code_pb2.FAILED_PRECONDITION,
    OutOfTime: code_pb2.DEADLINE_EXCEEDED,
}


class PortUnusable(Exception):
    """The address cannot be listened on."""


class PaymentServer:
    """A gRPC server for a PaymentService, with the standard health service; `reflect`: and with
    reflection. `rights` says who may act for customers; without
    `credentials` it is spoken to in clear.

    `port` is the one listened on, also when 0 was asked for.
    """

    def __init__(
        self,
        service: PaymentService,
        host: str,
        port: int,
        *,
        rights: CustomerRights | None = None,
        clock: Clock | None = None,
        reflect: bool = False,
        credentials: grpc.ServerCredentials | None = None,
    ) -> None:
        """Take the port; raises PortUnusable when it is in use or not ours to take."""
        self._server = grpc.server(
            ThreadPoolExecutor(THREADS, thread_name_prefix="payment"),
            interceptors=server_interceptors(),
            maximum_concurrent_rpcs=4 * THREADS,
            options=[
                # By default two servers share a port on Linux, and half the calls go astray.
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ],
        )
        self._health = health.HealthServicer()
        servicer = Servicer(service, rights or CustomerRights(), clock or SystemClock())
        pb_grpc.add_PaymentServiceServicer_to_server(servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if reflect:
            reflection.enable_server_reflection(
                (SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
            )
        try:
            address = f"{host}:{port}"
            if credentials is None:
                self.port = self._server.add_insecure_port(address)
            else:
                self.port = self._server.add_secure_port(address, credentials)
        except RuntimeError as error:
            raise PortUnusable(f"cannot listen on {host}:{port}") from error

    def start(self) -> None:
        """Serve, on threads of its own."""
        self._server.start()
        for name in ("", SERVICE_NAME):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def stop(self, grace: float) -> None:
        """Refuse new calls, and wait up to `grace` seconds for those in work."""
        self._health.enter_graceful_shutdown()
        self._server.stop(grace).wait()


class Servicer(pb_grpc.PaymentServiceServicer):
    """The calls of `payment.v1.PaymentService`."""

    def __init__(self, service: PaymentService, rights: CustomerRights, clock: Clock) -> None:
        self._service = service
        self._rights = rights
        self._clock = clock

    def ProcessPayment(
        self, request: pb.ProcessPaymentRequest, context: grpc.ServicerContext
    ) -> pb.ProcessPaymentResponse:
        """Charge a card, or what a customer has on file."""
        source: Card | OnFile = _to_card(request.card)
        if request.WhichOneof("source") == "saved":
            self._check_rights(context)
            source = OnFile(request.saved.customer_id, request.saved.payment_method_id)
        charge = Charge(
            idempotency_key=request.idempotency_key,
            order_id=request.order_id,
            amount_cents=request.amount_cents,
            currency=request.currency,
            source=source,
        )
        caller = GrpcCaller(context, self._clock)
        payment = _answer(context, lambda: self._service.process(charge, caller))
        logger.info("payment %s of order %s: %s", payment.id, payment.order_id, payment.status)
        return pb.ProcessPaymentResponse(payment=to_message(payment))

    def GetPayment(
        self, request: pb.GetPaymentRequest, context: grpc.ServicerContext
    ) -> pb.GetPaymentResponse:
        """Look a payment up."""
        payment = _answer(context, lambda: self._service.get(request.payment_id))
        return pb.GetPaymentResponse(payment=to_message(payment))

    def RefundPayment(
        self, request: pb.RefundPaymentRequest, context: grpc.ServicerContext
    ) -> pb.RefundPaymentResponse:
        """Give the whole amount back."""
        payment = _answer(context, lambda: self._service.refund(request.payment_id))
        logger.info("payment %s of order %s: %s", payment.id, payment.order_id, payment.status)
        return pb.RefundPaymentResponse(payment=to_message(payment))

    def SavePaymentMethod(
        self, request: pb.SavePaymentMethodRequest, context: grpc.ServicerContext
    ) -> pb.SavePaymentMethodResponse:
        """Keep a card for a customer."""
        self._check_rights(context)
        card = _to_card(request.card)
        method = _answer(context, lambda: self._service.save_method(request.customer_id, card))
        logger.info("payment method %s was saved", method.id)
        return pb.SavePaymentMethodResponse(payment_method=_to_method(method, True))

    def ListPaymentMethods(
        self, request: pb.ListPaymentMethodsRequest, context: grpc.ServicerContext
    ) -> pb.ListPaymentMethodsResponse:
        """What a customer has on file."""
        self._check_rights(context)
        found = _answer(context, lambda: self._service.list_methods(request.customer_id))
        return pb.ListPaymentMethodsResponse(
            payment_methods=[_to_method(one, one is found[0]) for one in found]
        )

    def RemovePaymentMethod(
        self, request: pb.RemovePaymentMethodRequest, context: grpc.ServicerContext
    ) -> pb.RemovePaymentMethodResponse:
        """Take a method away."""
        self._check_rights(context)
        customer, method = request.customer_id, request.payment_method_id
        _answer(context, lambda: self._service.remove_method(customer, method))
        logger.info("payment method %s was removed", printable(method))
        return pb.RemovePaymentMethodResponse()

    def _check_rights(self, context: grpc.ServicerContext) -> None:
        sent = context.invocation_metadata() or ()
        if not self._rights.may_act(context.peer(), [(str(name), value) for name, value in sent]):
            context.abort(
                grpc.StatusCode.PERMISSION_DENIED,
                "acting for customers needs a caller on this machine, or `authorization: Bearer "
                "KEY` with a key of PAYMENT_KEYS",
            )


class GrpcCaller:
    """The caller behind a gRPC context. One that brings no deadline waits MOST_SECONDS at most."""

    def __init__(self, context: grpc.ServicerContext, clock: Clock) -> None:
        self._context = context
        self._clock = clock
        self._until = clock.elapsed() + MOST_SECONDS

    def remaining(self) -> float:
        """Seconds left; without a deadline gRPC says some hundred billion years."""
        if not self._context.is_active():
            return 0.0
        ours = max(0.0, self._until - self._clock.elapsed())
        remaining = self._context.time_remaining()
        return ours if remaining is None else min(ours, remaining)

    def on_leave(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when the call ends; at once when it has ended."""
        if not self._context.add_callback(callback):
            callback()


def _to_card(card: pb.Card) -> Card:
    return Card(number=card.number, exp_month=card.exp_month, exp_year=card.exp_year, cvc=card.cvc)


def _to_method(method: Method, is_default: bool) -> pb.PaymentMethod:
    message = pb.PaymentMethod(
        id=method.id,
        customer_id=method.customer_id,
        card_brand=f"CARD_BRAND_{method.card_brand.name}",
        card_last4=method.card_last4,
        exp_month=method.exp_month,
        exp_year=method.exp_year,
        is_default=is_default,
    )
    message.create_time.FromNanoseconds(int(method.created_at * 1e9))
    return message


def to_message(payment: Payment) -> pb.Payment:
    """A stored payment as it goes over the wire."""
    decline = payment.decline_code.name if payment.decline_code else "UNSPECIFIED"
    message = pb.Payment(
        id=payment.id,
        order_id=payment.order_id,
        status=f"PAYMENT_STATUS_{payment.status.name}",
        amount_cents=payment.amount_cents,
        currency=payment.currency,
        card_brand=f"CARD_BRAND_{payment.card_brand.name if payment.card_brand else 'UNSPECIFIED'}",
        card_last4=payment.card_last4,
        decline_code=f"DECLINE_CODE_{decline}",
    )
    message.create_time.FromNanoseconds(int(payment.created_at * 1e9))
    if payment.refunded_at is not None:
        message.refund_time.FromNanoseconds(int(payment.refunded_at * 1e9))
    return message


def _answer(context: grpc.ServicerContext, work: Callable[[], Answer]) -> Answer:
    """Run `work`, and turn what it raises into a gRPC status that gives nothing away."""
    try:
        return work()
    except PaymentError as error:
        _abort(context, error)
    except OperationalError:
        logger.exception("the payment database cannot be used")
        context.abort(grpc.StatusCode.UNAVAILABLE, "the payment database cannot be used now")
    except Exception:
        logger.exception("a call failed")
        context.abort(grpc.StatusCode.INTERNAL, "internal error")


def _abort(context: grpc.ServicerContext, error: PaymentError) -> NoReturn:
    status = status_pb2.Status(code=_CODES[type(error)], message=str(error))
    if isinstance(error, InvalidRequest):
        detail = any_pb2.Any()
        detail.Pack(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(
                        field=each.field, description=each.description
                    )
                    for each in error.violations
                ]
            )
        )
        status.details.append(detail)
    context.abort_with_status(rpc_status.to_status(status))
