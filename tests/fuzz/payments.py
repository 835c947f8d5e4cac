"""Calls of the payment service over gRPC, nearly right, on loopback."""

from itertools import count
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from proto.payment.v1 import payment_pb2 as pb
from services.payment.repository import PaymentRepository
from services.payment.server import PaymentServer
from services.payment.service import PaymentService
from taskflow.testing import ManualClock
from tests.fuzz.values import Values
from tests.fuzz.verdict import Verdict

NOVEMBER_2026 = 1_795_000_000.0
SECONDS = 30.0
SERVICE = pb.DESCRIPTOR.services_by_name["PaymentService"]
GOOD = {
    "number": ("4242424242424242", "4000000000000002", "5555555555554444"),
    "cvc": ("123", "0000"),
    "exp_month": (12,),
    "exp_year": (2030,),
    "currency": ("USD", "EUR"),
    "amount_cents": (2500, 0, 1),
    "customer_id": ("c1", "c2"),
    "payment_method_id": ("pm_1", "pm_2"),
    "payment_id": ("pay_1", "pay_2"),
}
# What gRPC itself says of bytes that are no message, before our code is reached.
GARBAGE = "Exception deserializing request!"
FAULTS = (
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)


class PaymentFuzz:
    """One payment server on a free port."""

    def __init__(self, values: Values, verdict: Verdict, folder: Path) -> None:
        self._values = values
        self._verdict = verdict
        self._repository = PaymentRepository.open(f"sqlite:///{folder / 'payment.db'}")
        ids = count(1)
        service = PaymentService(
            self._repository, ManualClock(NOVEMBER_2026), lambda: f"pay_{next(ids)}", 100_000
        )
        self._server = PaymentServer(service, "127.0.0.1", 0)
        self._server.start()
        self._channel = grpc.insecure_channel(f"127.0.0.1:{self._server.port}")

    def send(self) -> None:
        """One call."""
        self._verdict.requests += 1
        method = self._values.dice.choice(SERVICE.methods)
        message = self._fill(getattr(pb, method.input_type.name)())
        body = message.SerializeToString()
        if self._values.chance(0.15):
            body = self._values.spoil_bytes(body)
        call = self._method(method.name)
        try:
            call(body, timeout=SECONDS)
        except grpc.RpcError as error:
            code, details = error.code(), error.details()
            self._verdict.answered("payments", code.name)
            if code in FAULTS and details != GARBAGE:
                self._verdict.wrong(f"{code.name}: {details}", (method.name, message))
        else:
            self._verdict.answered("payments", "OK")

    def _method(self, name: str) -> Any:
        """A method that takes and answers bytes."""
        return self._channel.unary_unary(f"/{SERVICE.full_name}/{name}")

    def _fill(self, message: Message) -> Any:
        values = self._values
        for field in message.DESCRIPTOR.fields:
            if not values.chance(0.85) or field.is_repeated:
                continue
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                inner = getattr(message, field.name)
                inner.SetInParent()
                self._fill(inner)
                continue
            good: Any = GOOD.get(field.name)
            value: Any = values.dice.choice(good) if good and values.chance(0.85) else None
            if value is None:
                text = field.type == FieldDescriptor.TYPE_STRING
                value = values.text() if text else values.dice.choice((0, 1, -1, 2**31 - 1))
            setattr(message, field.name, value)
        return message

    def close(self) -> None:
        """The server still answers."""
        call = self._method("GetPayment")
        try:
            call(pb.GetPaymentRequest(payment_id="pay_0").SerializeToString(), timeout=SECONDS)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.NOT_FOUND:
                self._verdict.wrong("in the end", str(error))
        self._channel.close()
        self._server.stop(0)
        self._repository.close()
