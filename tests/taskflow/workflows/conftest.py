"""A worker over the workflows of a test, and time that goes by until nothing is due."""

from collections.abc import Callable

import pytest

from taskflow import Broker, Registry, Worker
from taskflow.testing import ManualClock, Run, drain

Go = Callable[..., list[Run]]
LONGEST = 20 * 86400.0  # seconds; after that runs that have ended go


@pytest.fixture
def go(taskflow_broker: Broker, taskflow_registry: Registry, taskflow_clock: ManualClock) -> Go:
    """Run what is due now, of all workflows and tasks that the test has defined; with
    `advance=True`, what is due later too, time jumping to it. Errors are settled, not raised."""

    def go(*, advance: bool = False) -> list[Run]:
        until = taskflow_clock.now() + LONGEST
        worker = Worker(taskflow_broker, registry=taskflow_registry)
        runs: list[Run] = []
        while True:
            runs += drain(taskflow_broker, taskflow_registry, raise_errors=False)
            dues = [taskflow_broker.next_due(*worker.queues), worker.tend()] if advance else []
            due = min((one for one in dues if one is not None), default=until)
            if due >= until:
                return runs
            taskflow_clock.set(due)

    return go
