"""What customers have on file: saved as tokens, charged, removed; and who may do that."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from proto.payment.v1 import payment_pb2 as pb
from proto.payment.v1.payment_pb2_grpc import PaymentServiceStub
from services.keys import read_keys
from services.payment.callers import CustomerRights, is_loopback
from services.payment.gateway import TestGateway, open_gateway
from services.payment.repository import PaymentRepository
from services.payment.server import PaymentServer
from services.payment.service import PaymentService
from taskflow.errors import ConfigError
from taskflow.testing import ManualClock

TIMEOUT = 10
CARD = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2030, "cvc": "123"}
POOR = CARD | {"number": "4000000000009995"}


def save(stub: PaymentServiceStub, card: dict[str, Any], customer: str = "ada@x.org") -> Any:
    request = pb.SavePaymentMethodRequest(customer_id=customer, card=pb.Card(**card))
    return stub.SavePaymentMethod(request, timeout=TIMEOUT).payment_method


def charge(
    stub: PaymentServiceStub, key: str, method: str = "", customer: str = "ada@x.org"
) -> Any:
    saved = pb.SavedMethod(customer_id=customer, payment_method_id=method)
    request = pb.ProcessPaymentRequest(
        idempotency_key=key, order_id="ord_1", amount_cents=2500, currency="USD", saved=saved
    )
    return stub.ProcessPayment(request, timeout=TIMEOUT).payment


def methods(stub: PaymentServiceStub, customer: str = "ada@x.org") -> list[Any]:
    request = pb.ListPaymentMethodsRequest(customer_id=customer)
    return list(stub.ListPaymentMethods(request, timeout=TIMEOUT).payment_methods)


def test_a_customer_who_never_saved_one_pays_with_the_test_gateways_own(
    stub: PaymentServiceStub,
) -> None:
    payment = charge(stub, "k")
    assert payment.status == pb.PAYMENT_STATUS_APPROVED
    assert (payment.card_brand, payment.card_last4) == (pb.CARD_BRAND_VISA, "4242")


def test_the_newest_method_is_the_default(stub: PaymentServiceStub) -> None:
    first, second = save(stub, CARD), save(stub, POOR)
    assert [one.id for one in methods(stub)] == [second.id, first.id]
    assert [one.is_default for one in methods(stub)] == [True, False]
    assert charge(stub, "k1").decline_code == pb.DECLINE_CODE_INSUFFICIENT_FUNDS
    assert charge(stub, "k2", first.id).status == pb.PAYMENT_STATUS_APPROVED
    assert methods(stub, "other@x.org") == []


def test_whoever_removed_the_last_one_cannot_pay(stub: PaymentServiceStub) -> None:
    method = save(stub, CARD)
    request = pb.RemovePaymentMethodRequest(customer_id="ada@x.org", payment_method_id=method.id)
    for _ in range(2):
        stub.RemovePaymentMethod(request, timeout=TIMEOUT)
    payment = charge(stub, "k")
    assert payment.status == pb.PAYMENT_STATUS_DECLINED
    assert payment.decline_code == pb.DECLINE_CODE_NO_PAYMENT_METHOD
    assert charge(stub, "k2", customer="new@x.org").status == pb.PAYMENT_STATUS_APPROVED


def test_a_method_of_another_customer_is_not_charged(stub: PaymentServiceStub) -> None:
    method = save(stub, CARD)
    assert charge(stub, "k", method.id, "eve@x.org").decline_code == (
        pb.DECLINE_CODE_NO_PAYMENT_METHOD
    )
    request = pb.RemovePaymentMethodRequest(customer_id="eve@x.org", payment_method_id=method.id)
    with pytest.raises(grpc.RpcError) as caught:
        stub.RemovePaymentMethod(request, timeout=TIMEOUT)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert len(methods(stub)) == 1


def test_without_a_default_method_a_stranger_cannot_pay(
    repository: PaymentRepository, clock: ManualClock
) -> None:
    gateway = TestGateway(default_method=False)
    service = PaymentService(repository, clock, lambda: "pay_1", 100_000, gateway)
    server = PaymentServer(service, "127.0.0.1", 0)
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        payment = charge(PaymentServiceStub(channel), "k")
    server.stop(0)
    assert payment.decline_code == pb.DECLINE_CODE_NO_PAYMENT_METHOD


def test_one_key_charges_once(stub: PaymentServiceStub) -> None:
    first = charge(stub, "k")
    save(stub, POOR)
    assert charge(stub, "k") == first
    with pytest.raises(grpc.RpcError) as caught:
        charge(stub, "k", customer="other@x.org")
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS


@pytest.mark.parametrize("customer", ["", "a b", "a\nb", "x" * 255, "a\uffffb"])
def test_who_cannot_be_a_customer_is_named(stub: PaymentServiceStub, customer: str) -> None:
    for call in (
        lambda: save(stub, CARD, customer),
        lambda: methods(stub, customer),
        lambda: charge(stub, "k", customer=customer),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call()
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_no_number_is_kept(stub: PaymentServiceStub, database: Path) -> None:
    save(stub, CARD)
    assert b"4242424242424242" not in database.read_bytes()


# ---- who may ----------------------------------------------------------------------------------
@pytest.fixture
def distant(service: PaymentService) -> Iterator[Callable[..., Any]]:
    """Calls of somebody on another machine, with or without a key."""
    rights = CustomerRights({"order": "k" * 16})
    rights.may_act = (  # type: ignore[method-assign]
        lambda peer, metadata: CustomerRights.may_act(rights, "ipv4:192.0.2.1:5000", metadata)
    )
    server = PaymentServer(service, "127.0.0.1", 0, rights=rights)
    server.start()
    channel = grpc.insecure_channel(f"127.0.0.1:{server.port}")
    stub = PaymentServiceStub(channel)

    def call(key: str | None) -> Any:
        metadata = None if key is None else [("authorization", f"Bearer {key}")]
        saved = pb.SavedMethod(customer_id="ada@x.org")
        request = pb.ProcessPaymentRequest(
            idempotency_key="k", order_id="o", amount_cents=1, currency="USD", saved=saved
        )
        return stub.ProcessPayment(request, timeout=TIMEOUT, metadata=metadata)

    yield call
    channel.close()
    server.stop(0)


@pytest.mark.parametrize("key", [None, "", "k" * 15, "wrong" * 4])
def test_acting_for_customers_from_elsewhere_needs_a_key(
    distant: Callable[..., Any], key: str | None
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        distant(key)
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_with_the_key_it_is_done(distant: Callable[..., Any]) -> None:
    assert distant("k" * 16).payment.status == pb.PAYMENT_STATUS_APPROVED


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("ipv4:127.0.0.1:5000", True),
        ("ipv4:127.9.9.9:1", True),
        ("ipv6:[::1]:5000", True),
        ("ipv6:%5B::1%5D:5000", True),
        ("ipv6:[::ffff:127.0.0.1]:5000", True),
        ("unix:/run/payment", True),
        ("ipv4:10.0.0.1:5000", False),
        ("ipv6:[2001:db8::1]:5000", False),
        ("ipv4:0.0.0.0:1", False),
        ("dns:localhost", False),
        ("", False),
    ],
)
def test_who_is_on_this_machine(peer: str, expected: bool) -> None:
    assert is_loopback(peer) is expected


def test_keys_are_read_from_a_file_of_their_owner(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# the order service\norder: abcdefghijklmnop\n")
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="others may read it"):
        read_keys(file, "PAYMENT_KEYS")
    file.chmod(0o600)
    assert read_keys(file, "PAYMENT_KEYS") == {"order": "abcdefghijklmnop"}
    file.write_text("order: short")
    with pytest.raises(ConfigError, match="line 1"):
        read_keys(file, "PAYMENT_KEYS")
    with pytest.raises(ConfigError, match="No such file"):
        read_keys(tmp_path / "missing", "PAYMENT_KEYS")
    assert read_keys(None, "PAYMENT_KEYS") == {}


@pytest.mark.parametrize("name", ["nosuch", "nosuch.module:gateway", "services.payment.cards:x"])
def test_a_gateway_that_is_none_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match="PAYMENT_GATEWAY"):
        open_gateway(name, True)
