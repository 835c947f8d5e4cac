"""A worker over the tasks of a test, in one line."""

from collections.abc import Callable

import pytest

from taskflow import Broker, Registry, Worker
from taskflow.testing import ManualClock

Work = Callable[[], Worker]


@pytest.fixture
def work(taskflow_broker: Broker, taskflow_registry: Registry) -> Work:
    """Make a worker for all tasks that the test has defined, which declares their queues."""
    made: list[Worker] = []

    def work() -> Worker:
        made.append(Worker(taskflow_broker, registry=taskflow_registry))
        return made[-1]

    return work


@pytest.fixture
def drain(work: Work) -> Callable[[], int]:
    """Run what is visible; answers how many messages that were."""
    return lambda: len(work().drain())


@pytest.fixture
def later(taskflow_clock: ManualClock, work: Work) -> Callable[[float], int]:
    """Let so many seconds go by, then run what is visible."""

    def later(seconds: float) -> int:
        taskflow_clock.advance(seconds)
        return len(work().drain())

    return later
