"""An app of a test, whose tasks are in the registry of the test, and a worker in one line."""

from collections.abc import Callable, Iterator

import pytest

from taskflow import Broker, Registry, Worker
from taskflow.celery import Celery, current
from taskflow.config import name_broker
from taskflow.testing import ManualClock


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees the current app of another, nor the broker that it named."""
    monkeypatch.setattr(current, "_current", None)
    yield
    name_broker(None)


@pytest.fixture
def app(taskflow_registry: Registry) -> Celery:
    """An app that keeps results."""
    return Celery("proj", backend="taskflow://", registry=taskflow_registry)


@pytest.fixture
def drain(taskflow_broker: Broker, taskflow_registry: Registry) -> Callable[[], int]:
    """Run what is visible; answers how many messages that were. (The first call declares
    queues.)"""
    return lambda: len(Worker(taskflow_broker, registry=taskflow_registry).drain())


@pytest.fixture
def later(taskflow_clock: ManualClock, drain: Callable[[], int]) -> Callable[[float], int]:
    """Let so many seconds go by, then run what is visible."""

    def later(seconds: float) -> int:
        taskflow_clock.advance(seconds)
        return drain()

    return later
