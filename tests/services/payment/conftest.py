"""A real payment server on a free port, over a database file of its own."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest

from proto.payment.v1 import payment_pb2 as pb
from proto.payment.v1.payment_pb2_grpc import PaymentServiceStub
from services.payment.repository import PaymentRepository
from services.payment.server import PaymentServer
from services.payment.service import PaymentService
from taskflow.testing import ManualClock

NOVEMBER_2026 = 1_795_000_000.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOVEMBER_2026)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "payment.db"


@pytest.fixture
def repository(database: Path) -> Iterator[PaymentRepository]:
    repository = PaymentRepository.open(f"sqlite:///{database}")
    yield repository
    repository.close()


@pytest.fixture
def service(repository: PaymentRepository, clock: ManualClock) -> PaymentService:
    ids = count(1)
    return PaymentService(repository, clock, lambda: f"pay_{next(ids)}", 100_000)


@pytest.fixture
def server(service: PaymentService) -> Iterator[PaymentServer]:
    server = PaymentServer(service, "127.0.0.1", 0)
    server.start()
    yield server
    server.stop(0)


@pytest.fixture
def channel(server: PaymentServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield channel


@pytest.fixture
def stub(channel: grpc.Channel) -> PaymentServiceStub:
    return PaymentServiceStub(channel)


@pytest.fixture
def new_request() -> Callable[..., pb.ProcessPaymentRequest]:
    """Makes a good request; keyword arguments replace its fields, `card` those of the card."""

    def new_request(card: dict[str, Any] | None = None, **fields: Any) -> Any:
        whole_card: dict[str, Any] = {
            "number": "4242424242424242",
            "exp_month": 12,
            "exp_year": 2030,
            "cvc": "123",
        } | (card or {})
        whole: dict[str, Any] = {
            "idempotency_key": "key-1",
            "order_id": "ord_1",
            "amount_cents": 2500,
            "currency": "USD",
        } | fields
        return pb.ProcessPaymentRequest(**whole, card=pb.Card(**whole_card))

    return new_request
