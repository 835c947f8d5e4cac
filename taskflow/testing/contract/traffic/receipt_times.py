"""Receipts: text that says when it was given to the broker that made it, and to nobody else."""

from collections.abc import Callable

import pytest

from taskflow.broker import Broker
from taskflow.message import Delivery
from taskflow.testing import ManualClock
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *


def test_a_receipt_tells_when_it_was_given(
    broker: Broker,
    put: Callable[..., None],
    get: Callable[..., list[Delivery]],
    clock: ManualClock,
) -> None:
    put("1", "2")
    first = get(limit=1)
    clock.advance(2.5)
    second = get(limit=1)
    receipts = [one.receipt for one in (*first, *second)]
    assert broker.received_at(receipts) == [
        pytest.approx(1000.0, abs=0.001),
        pytest.approx(1002.5, abs=0.001),
    ]
    assert broker.received_at([]) == []


@pytest.mark.parametrize("text", ["", "x", "1", "1.", ".1", "1.2.3", "-1.5", "1.x", "|||"])
def test_what_is_no_receipt_was_never_given(broker: Broker, text: str) -> None:
    assert broker.received_at([text]) == [None]


__all__ = collected(globals())
