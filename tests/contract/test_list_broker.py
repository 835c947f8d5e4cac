"""A broker over plain Python lists is held to the contract, as a third party holds its own."""

import random

import pytest

from taskflow.testing import ManualClock
from taskflow.testing.contract import *
from taskflow.testing.contract.differs import Differs
from tests.contract.list_broker.broker import ListBroker


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture
def broker(clock: ManualClock) -> ListBroker:
    return ListBroker(clock, random.Random(7))


@pytest.fixture
def differences() -> dict[str, Differs]:
    return {}


@pytest.fixture
def five_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ListBroker, "most_in_flight", 5)
