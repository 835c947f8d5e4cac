"""A worker over the schedules of a test, and what ran."""

from collections.abc import Callable

import pytest

from taskflow import Broker, Context, Registry, Task, Worker, task
from taskflow.tasks.task_context import TaskContext

Work = Callable[[], int]


class Seen:
    """A task that notes its ticks, and how late it was."""

    def __init__(self, registry: Registry) -> None:
        self.ticks: list[float | None] = []
        self.late: list[float] = []

        def note(ctx: Context) -> None:
            assert isinstance(ctx, TaskContext)
            self.ticks.append(ctx.tick)
            self.late.append(ctx.late)

        self.task: Task[[], None] = task(registry=registry, name="note", queue="q")(note)


@pytest.fixture
def seen(taskflow_broker: Broker, taskflow_registry: Registry) -> Seen:
    return Seen(taskflow_registry)


@pytest.fixture
def work(taskflow_broker: Broker, taskflow_registry: Registry) -> Work:
    """A worker starts, and runs what is due; answers how many messages that were."""
    return lambda: len(Worker(taskflow_broker, registry=taskflow_registry).drain())
