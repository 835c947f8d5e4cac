"""A shop whose fulfilment is tried, under a clock that the test turns."""

from collections.abc import Iterator

import pytest

from services.fulfilment import workflow
from services.fulfilment.stock import Stock
from taskflow import Broker
from taskflow.testing import ManualClock
from tests.services.fulfilment.doubles import PIECES, FakeRefunds, Shop


@pytest.fixture
def stock(taskflow_clock: ManualClock) -> Iterator[Stock]:
    stock = Stock.open("sqlite://", taskflow_clock, PIECES)
    yield stock
    stock.close()


@pytest.fixture
def refunds() -> FakeRefunds:
    return FakeRefunds()


@pytest.fixture
def shop(
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    stock: Stock,
    refunds: FakeRefunds,
    monkeypatch: pytest.MonkeyPatch,
) -> Shop:
    monkeypatch.setattr(workflow, "get_stock", lambda: stock)
    monkeypatch.setattr("services.fulfilment.handlers.get_stock", lambda: stock)
    monkeypatch.setattr(workflow, "get_refunds", lambda: refunds)
    return Shop(taskflow_broker, taskflow_clock, stock, refunds)
