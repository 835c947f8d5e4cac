"""Token buckets: how fast something may go, all workers together."""

import pytest

from taskflow.broker import Broker
from taskflow.testing import ManualClock
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *

NEEDS = ("coordination",)


def test_a_bucket_fills_at_its_rate_up_to_its_burst(broker: Broker, clock: ManualClock) -> None:
    assert broker.take("b", 100) == 10.0
    assert broker.take("b", 100, 10) == 0.0
    clock.advance(0.05)
    assert broker.take("b", 100) == pytest.approx(5.0)
    clock.advance(60)
    assert broker.take("b", 100) == 10.0


def test_a_bucket_may_be_overdrawn_and_pays_it_back(broker: Broker, clock: ManualClock) -> None:
    assert broker.take("b", 1, 3) == -2.0
    assert broker.take("b", 1) == -2.0, "a look takes nothing"
    clock.advance(2.5)
    assert broker.take("b", 1) == 0.5


def test_a_slow_rate_still_allows_one(broker: Broker) -> None:
    assert broker.take("b", 1 / 3600) == 1.0


__all__ = collected(globals(), NEEDS)
