"""Gives payments back through the payment service, over gRPC."""

from typing import Protocol

import grpc

from proto.payment.v1 import payment_pb2 as pb
from proto.payment.v1 import payment_pb2_grpc as pb_grpc
from services.channels import open_payment_channel


class RefundUncertain(Exception):
    """No answer: the money may have been given back or not. Repeat the refund to find out."""


class RefundRefused(Exception):
    """There is nothing to give back, and never will be."""


class Refunds(Protocol):
    """Whoever gives payments back."""

    def refund(self, payment_id: str) -> int:
        """Give the whole of a payment back, once however often it is called; answers how much it
        was, in hundredths of its currency. Raises RefundUncertain or RefundRefused."""
        ...


class GrpcRefunds:
    """The payment service at `address` (host:port). Thread-safe; connects at the first call.

    `timeout`: seconds for one refund, repeats included. `credentials`: TLS; without, it is spoken
    to in clear.
    """

    def __init__(
        self, address: str, timeout: float, credentials: grpc.ChannelCredentials | None = None
    ) -> None:
        self._channel = open_payment_channel(address, credentials)
        self._stub = pb_grpc.PaymentServiceStub(self._channel)
        self._timeout = timeout

    def refund(self, payment_id: str) -> int:
        """The payment's own id makes a repeat harmless."""
        request = pb.RefundPaymentRequest(payment_id=payment_id)
        try:
            answer = self._stub.RefundPayment(request, timeout=self._timeout)
        except grpc.RpcError as error:
            what = f"payment answers {error.code().name}: {error.details()}"
            if error.code() in _FOR_GOOD:
                raise RefundRefused(what) from None
            raise RefundUncertain(what) from None
        return int(answer.payment.amount_cents)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


_FOR_GOOD = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)
