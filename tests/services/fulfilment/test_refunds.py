"""Refunds of fulfilment at the real payment service, over real gRPC."""

import socket
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from services.fulfilment.refunds import GrpcRefunds, RefundRefused, RefundUncertain
from services.payment.repository import PaymentRepository, Status
from services.payment.server import PaymentServer
from services.payment.service import Charge, OnFile, PaymentService
from taskflow import SystemClock
from taskflow.outbox import Outbox, SqlAlchemy
from tests.services.test_refunds import Caller


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[PaymentRepository]:
    repository = PaymentRepository.open(f"sqlite:///{tmp_path / 'payment.db'}")
    yield repository
    repository.close()


@pytest.fixture
def service(repository: PaymentRepository) -> PaymentService:
    ids = count(1)
    return PaymentService(repository, SystemClock(), lambda: f"pay_{next(ids)}", 100_000)


@pytest.fixture
def refunds(service: PaymentService) -> Iterator[GrpcRefunds]:
    server = PaymentServer(service, "127.0.0.1", 0)
    server.start()
    refunds = GrpcRefunds(f"127.0.0.1:{server.port}", timeout=20)
    yield refunds
    refunds.close()
    server.stop(0)


def test_a_payment_is_given_back_once_however_often_it_is_asked_for(
    refunds: GrpcRefunds, service: PaymentService, repository: PaymentRepository
) -> None:
    service.process(Charge("k", "ord_1", 2500, "USD", OnFile("ada@x.org")), Caller())
    assert [refunds.refund("pay_1") for _ in range(3)] == [2500, 2500, 2500]
    assert service.get("pay_1").status is Status.REFUNDED
    (told,) = Outbox(SqlAlchemy(repository.engine)).pending()
    assert told.event.topic == "payment.refunded"


def test_what_was_never_paid_is_refused_for_good(refunds: GrpcRefunds) -> None:
    with pytest.raises(RefundRefused, match="NOT_FOUND"):
        refunds.refund("pay_9")


def test_no_answer_leaves_it_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        refunds = GrpcRefunds(f"127.0.0.1:{silent.getsockname()[1]}", timeout=0.1)
        with pytest.raises(RefundUncertain, match="DEADLINE_EXCEEDED"):
            refunds.refund("pay_1")
        refunds.close()
