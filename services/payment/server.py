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
from services.payment.cards import Card
from services.payment.repository import Payment
from services.payment.service import (
    Charge,
    InvalidRequest,
    KeyReused,
    NotRefundable,
    OutOfTime,
    PaymentError,
    PaymentNotFound,
    PaymentService,
)

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["PaymentService"].full_name
THREADS = 16
MAX_MESSAGE_BYTES = 64 * 1024

Answer = TypeVar("Answer")

logger = logging.getLogger("services.payment")

_CODES: dict[type[PaymentError], int] = {
    InvalidRequest: code_pb2.INVALID_ARGUMENT,
    KeyReused: code_pb2.ALREADY_EXISTS,
    PaymentNotFound: code_pb2.NOT_FOUND,
    NotRefundable: code_pb2.FAILED_PRECONDITION,
    OutOfTime: code_pb2.DEADLINE_EXCEEDED,
}


class PortUnusable(Exception):
    """The address cannot be listened on."""


class PaymentServer:
    """A gRPC server for a PaymentService, with the standard health service and reflection.

    `port` is the one listened on, also when 0 was asked for.
    """

    def __init__(self, service: PaymentService, host: str, port: int) -> None:
        """Take the port; raises PortUnusable when it is in use or not ours to take."""
        self._server = grpc.server(
            ThreadPoolExecutor(THREADS, thread_name_prefix="payment"),
            maximum_concurrent_rpcs=4 * THREADS,
            options=[
                # By default two servers share a port on Linux, and half the calls go astray.
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ],
        )
        self._health = health.HealthServicer()
        pb_grpc.add_PaymentServiceServicer_to_server(Servicer(service), self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
        )
        try:
            self.port = self._server.add_insecure_port(f"{host}:{port}")
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
    """The three calls of `payment.v1.PaymentService`."""

    def __init__(self, service: PaymentService) -> None:
        self._service = service

    def ProcessPayment(
        self, request: pb.ProcessPaymentRequest, context: grpc.ServicerContext
    ) -> pb.ProcessPaymentResponse:
        """Charge a card."""
        charge = Charge(
            idempotency_key=request.idempotency_key,
            order_id=request.order_id,
            amount_cents=request.amount_cents,
            currency=request.currency,
            card=Card(
                number=request.card.number,
                exp_month=request.card.exp_month,
                exp_year=request.card.exp_year,
                cvc=request.card.cvc,
            ),
        )
        payment = _answer(context, lambda: self._service.process(charge, GrpcCaller(context)))
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


class GrpcCaller:
    """The caller behind a gRPC context."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context

    def remaining(self) -> float:
        """Seconds left; without a deadline gRPC says some hundred billion years."""
        if not self._context.is_active():
            return 0.0
        remaining = self._context.time_remaining()
        return float("inf") if remaining is None else remaining

    def on_leave(self, callback: Callable[[], None]) -> None:
        """Have `callback` called when the call ends; at once when it has ended."""
        if not self._context.add_callback(callback):
            callback()


def to_message(payment: Payment) -> pb.Payment:
    """A stored payment as it goes over the wire."""
    decline = payment.decline_code.name if payment.decline_code else "UNSPECIFIED"
    message = pb.Payment(
        id=payment.id,
        order_id=payment.order_id,
        status=f"PAYMENT_STATUS_{payment.status.name}",
        amount_cents=payment.amount_cents,
        currency=payment.currency,
        card_brand=f"CARD_BRAND_{payment.card_brand.name}",
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
