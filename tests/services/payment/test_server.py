"""The payment service over real gRPC."""

import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from proto.payment.v1 import payment_pb2 as pb
from proto.payment.v1.payment_pb2_grpc import PaymentServiceStub
from services.payment.cards import TIMEOUT_NUMBER, Card
from services.payment.repository import PaymentRepository, Status
from services.payment.server import SERVICE_NAME, PaymentServer, PortUnusable
from services.payment.service import MIN_REMAINING_SECONDS, Charge, OutOfTime, PaymentService
from taskflow.testing import ManualClock

TIMEOUT = 10
NewRequest = Callable[..., pb.ProcessPaymentRequest]


def violations(error: Any) -> set[str]:
    [detail] = rpc_status.from_call(error).details
    bad_request = error_details_pb2.BadRequest()
    assert detail.Unpack(bad_request)
    return {each.field for each in bad_request.field_violations}


def refused(call: Any, request: Any) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=TIMEOUT)
    return caught.value


@pytest.mark.parametrize(
    ("number", "cvc", "brand"),
    [
        ("4242424242424242", "123", pb.CARD_BRAND_VISA),
        ("5555555555554444", "123", pb.CARD_BRAND_MASTERCARD),
        ("378282246310005", "1234", pb.CARD_BRAND_AMEX),
        ("6011111111111117", "123", pb.CARD_BRAND_DISCOVER),
    ],
)
def test_approval_cards_are_charged(
    stub: PaymentServiceStub,
    new_request: NewRequest,
    clock: ManualClock,
    number: str,
    cvc: str,
    brand: pb.CardBrand,
) -> None:
    request = new_request(card={"number": number, "cvc": cvc})
    payment = stub.ProcessPayment(request, timeout=TIMEOUT).payment
    assert payment.status == pb.PAYMENT_STATUS_APPROVED
    assert (payment.order_id, payment.amount_cents, payment.currency) == ("ord_1", 2500, "USD")
    assert (payment.card_brand, payment.card_last4) == (brand, number[-4:])
    assert payment.create_time.ToNanoseconds() == int(clock.now() * 1e9)
    assert payment.decline_code == pb.DECLINE_CODE_UNSPECIFIED


@pytest.mark.parametrize(
    ("number", "code"),
    [
        ("4000000000000002", pb.DECLINE_CODE_GENERIC_DECLINE),
        ("4000000000009995", pb.DECLINE_CODE_INSUFFICIENT_FUNDS),
        ("4000000000009979", pb.DECLINE_CODE_STOLEN_CARD),
        ("4000000000000069", pb.DECLINE_CODE_EXPIRED_CARD),
        ("4000000000000119", pb.DECLINE_CODE_PROCESSING_ERROR),
    ],
)
def test_declined_card_is_a_result_with_its_reason(
    stub: PaymentServiceStub, new_request: NewRequest, number: str, code: pb.DeclineCode
) -> None:
    payment = stub.ProcessPayment(new_request(card={"number": number}), timeout=TIMEOUT).payment
    assert (payment.status, payment.decline_code) == (pb.PAYMENT_STATUS_DECLINED, code)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"card": {"number": "4242424242424241"}}, "card.number"),
        ({"card": {"cvc": "1"}}, "card.cvc"),
        ({"card": {"exp_year": 2020}}, "card.exp_year"),
        ({"amount_cents": 0}, "amount_cents"),
        ({"amount_cents": -1}, "amount_cents"),
        ({"amount_cents": 100_001}, "amount_cents"),
        ({"currency": "usd"}, "currency"),
        ({"currency": "XXX"}, "currency"),
        ({"order_id": ""}, "order_id"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"idempotency_key": "k" * 256}, "idempotency_key"),
        ({"idempotency_key": "a\nb"}, "idempotency_key"),
    ],
)
def test_bad_field_is_invalid_argument_and_named(
    stub: PaymentServiceStub,
    new_request: NewRequest,
    repository: PaymentRepository,
    change: dict[str, Any],
    field: str,
) -> None:
    error = refused(stub.ProcessPayment, new_request(**change))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violations(error) == {field}
    assert repository.find_by_key("key-1") is None


def test_empty_request_names_every_field(stub: PaymentServiceStub) -> None:
    error = refused(stub.ProcessPayment, pb.ProcessPaymentRequest())
    assert {"idempotency_key", "order_id", "amount_cents", "currency", "card.number"} <= violations(
        error
    )


def test_same_key_and_request_answers_the_stored_payment(
    stub: PaymentServiceStub, new_request: NewRequest
) -> None:
    first = stub.ProcessPayment(new_request(), timeout=TIMEOUT).payment
    assert stub.ProcessPayment(new_request(), timeout=TIMEOUT).payment == first


@pytest.mark.parametrize(
    "change", [{"amount_cents": 1}, {"order_id": "ord_2"}, {"card": {"exp_month": 1}}]
)
def test_same_key_with_another_request_is_refused(
    stub: PaymentServiceStub, new_request: NewRequest, change: dict[str, Any]
) -> None:
    stub.ProcessPayment(new_request(), timeout=TIMEOUT)
    error = refused(stub.ProcessPayment, new_request(**change))
    assert error.code() is grpc.StatusCode.ALREADY_EXISTS


def test_concurrent_repeats_charge_once(
    stub: PaymentServiceStub, new_request: NewRequest, repository: PaymentRepository
) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda _: stub.ProcessPayment(new_request(), timeout=30), range(16))
        ids = {answer.payment.id for answer in answers}
    assert len(ids) == 1
    assert [each.id for each in repository.approved_of_order("ord_1")] == list(ids)


def test_refund_gives_the_money_back_once(
    stub: PaymentServiceStub, new_request: NewRequest, clock: ManualClock
) -> None:
    payment_id = stub.ProcessPayment(new_request(), timeout=TIMEOUT).payment.id
    request = pb.RefundPaymentRequest(payment_id=payment_id)
    first = stub.RefundPayment(request, timeout=TIMEOUT).payment
    clock.advance(60)
    assert stub.RefundPayment(request, timeout=TIMEOUT).payment == first
    assert first.status == pb.PAYMENT_STATUS_REFUNDED
    stored = stub.GetPayment(pb.GetPaymentRequest(payment_id=payment_id), timeout=TIMEOUT)
    assert stored.payment == first


def test_declined_payment_cannot_be_refunded(
    stub: PaymentServiceStub, new_request: NewRequest
) -> None:
    request = new_request(card={"number": "4000000000000002"})
    payment_id = stub.ProcessPayment(request, timeout=TIMEOUT).payment.id
    error = refused(stub.RefundPayment, pb.RefundPaymentRequest(payment_id=payment_id))
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION


def test_unknown_payment_is_not_found(stub: PaymentServiceStub) -> None:
    for call, request in [
        (stub.GetPayment, pb.GetPaymentRequest(payment_id="pay_x")),
        (stub.RefundPayment, pb.RefundPaymentRequest(payment_id="pay_x")),
    ]:
        assert refused(call, request).code() is grpc.StatusCode.NOT_FOUND


class InHurry:
    """A caller whose deadline ends before a charge could be answered."""

    def remaining(self) -> float:
        return MIN_REMAINING_SECONDS / 2

    def on_leave(self, callback: Callable[[], None]) -> None:
        raise AssertionError("nobody should wait for this caller")


def test_charge_is_refused_with_too_little_time_left(
    service: PaymentService, repository: PaymentRepository
) -> None:
    # Below the socket: a deadline this short may end before the call arrives.
    card = Card("4242424242424242", 12, 2030, "123")
    with pytest.raises(OutOfTime):
        service.process(Charge("key-1", "ord_1", 2500, "USD", card), InHurry())
    assert repository.find_by_key("key-1") is None


def test_timeout_card_charges_nothing_once_the_caller_leaves(
    stub: PaymentServiceStub,
    new_request: NewRequest,
    repository: PaymentRepository,
    clock: ManualClock,
    server: PaymentServer,
) -> None:
    call = stub.ProcessPayment.future(new_request(card={"number": TIMEOUT_NUMBER}), timeout=60)
    clock.wait_until_parked()
    call.cancel()
    server.stop(TIMEOUT)
    assert call.code() is grpc.StatusCode.CANCELLED
    assert repository.find_by_key("key-1") is None


def test_health_answers(channel: grpc.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    for name in ("", SERVICE_NAME):
        answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=TIMEOUT)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_answers_only_where_it_was_asked_for(
    service: PaymentService, channel: grpc.Channel
) -> None:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    closed = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
    with pytest.raises(grpc.RpcError):
        list(closed(iter([request]), timeout=TIMEOUT))
    server = PaymentServer(service, "127.0.0.1", 0, reflect=True)
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as other:
        stub = reflection_pb2_grpc.ServerReflectionStub(other)
        [answer] = stub.ServerReflectionInfo(iter([request]), timeout=TIMEOUT)
    server.stop(0)
    assert SERVICE_NAME in {each.name for each in answer.list_services_response.service}


def test_used_port_is_refused(server: PaymentServer, service: PaymentService) -> None:
    with pytest.raises(PortUnusable, match=str(server.port)):
        PaymentServer(service, "127.0.0.1", server.port)


def test_internal_error_gives_nothing_away(
    stub: PaymentServiceStub,
    new_request: NewRequest,
    service: PaymentService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> str:
        raise ValueError("secret 4242424242424242")

    monkeypatch.setattr(service, "_new_id", fail)
    error = refused(stub.ProcessPayment, new_request())
    assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "internal error")


def test_no_card_number_or_cvc_in_logs_or_database(
    stub: PaymentServiceStub,
    new_request: NewRequest,
    database: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    stub.ProcessPayment(new_request(card={"cvc": "987"}), timeout=TIMEOUT)
    refused(stub.ProcessPayment, new_request(idempotency_key="", card={"cvc": "987"}))
    stored = b"".join(file.read_bytes() for file in database.parent.iterdir())
    assert b"4242" in stored, "the last digits are kept"
    for secret in ("4242424242424242", "42424242"):
        assert secret.encode() not in stored
        assert secret not in caplog.text


def test_unusable_database_is_unavailable_so_that_callers_repeat(
    stub: PaymentServiceStub, new_request: NewRequest, database: Path
) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("DROP TABLE payments")
    error = refused(stub.ProcessPayment, new_request())
    assert error.code() is grpc.StatusCode.UNAVAILABLE


def test_refund_by_order_leaves_declined_payments_alone(
    stub: PaymentServiceStub,
    new_request: NewRequest,
    service: PaymentService,
    repository: PaymentRepository,
) -> None:
    declined = {"number": "4000000000000002"}
    stub.ProcessPayment(new_request(idempotency_key="a", card=declined), timeout=TIMEOUT)
    stub.ProcessPayment(new_request(idempotency_key="b"), timeout=TIMEOUT)
    assert [each.status for each in service.refund_order("ord_1")] == [Status.REFUNDED]
    assert service.refund_order("ord_1") == []
