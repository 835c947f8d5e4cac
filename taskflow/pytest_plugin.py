"""pytest fixtures over `taskflow.testing`; registered by installing taskflow."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from taskflow.broker import Broker
from taskflow.publisher import using
from taskflow.registry import Registry
from taskflow.testing import ManualClock, Run, drain, memory_broker


@pytest.fixture
def taskflow_clock() -> ManualClock:
    """The time of the test, turned by hand."""
    return ManualClock()


@pytest.fixture
def taskflow_broker(taskflow_clock: ManualClock) -> Iterator[Broker]:
    """A broker in memory, on `taskflow_clock`; the one that `publish` uses during the test."""
    broker = memory_broker(clock=taskflow_clock)
    with using(broker):
        yield broker
    broker.close()


@pytest.fixture
def taskflow_registry() -> Registry:
    """An empty registry, for handlers made in the test."""
    return Registry()


@pytest.fixture
def taskflow_drain(taskflow_broker: Broker) -> Callable[..., list[Run]]:
    """`taskflow.testing.drain` on the broker of the test."""
    return partial(drain, taskflow_broker)
