"""A worker in one line, and an observer for a pool."""

from collections.abc import Callable
from typing import Any

import pytest

from taskflow import Broker, Registry, Worker
from taskflow.testing import ManualClock
from tests.taskflow.making import FIXED
from tests.taskflow.worker.pools import Watch

Work = Callable[..., Worker]


@pytest.fixture
def work(taskflow_broker: Broker, taskflow_registry: Registry) -> Work:
    """A worker on the queue `work` with a handler of `made`."""

    def work(handler: Callable[..., Any], **options: Any) -> Worker:
        options.setdefault("policy", FIXED)
        taskflow_registry.subscribe("made", queue="work", **options)(handler)
        return Worker(taskflow_broker, registry=taskflow_registry)

    return work


@pytest.fixture
def watch(taskflow_clock: ManualClock) -> Watch:
    """An observer for a pool on the test's clock."""
    return Watch(taskflow_clock)
