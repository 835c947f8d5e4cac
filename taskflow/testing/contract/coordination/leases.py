"""Leases of one among many."""

from taskflow.broker import Broker
from taskflow.testing import ManualClock
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *

NEEDS = ("coordination",)


def test_one_of_many_holds_a_lease(broker: Broker, clock: ManualClock) -> None:
    assert broker.hold("ticks", "a", 10) is True
    assert broker.hold("ticks", "b", 10) is False
    clock.advance(9)
    assert broker.hold("ticks", "a", 10) is True
    clock.advance(9)
    assert broker.hold("ticks", "b", 10) is False
    clock.advance(1)
    assert broker.hold("ticks", "b", 10) is True
    assert broker.hold("ticks", "a", 10) is False


__all__ = collected(globals(), NEEDS)
