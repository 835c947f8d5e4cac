"""A worker in one line."""

from collections.abc import Callable
from typing import Any

import pytest

from taskflow import Broker, Registry, Worker
from tests.taskflow.making import FIXED

Work = Callable[..., Worker]


@pytest.fixture
def work(taskflow_broker: Broker, taskflow_registry: Registry) -> Work:
    """A worker on the queue `work` with a handler of `made`."""

    def work(handler: Callable[..., Any], **options: Any) -> Worker:
        options.setdefault("policy", FIXED)
        taskflow_registry.subscribe("made", queue="work", **options)(handler)
        return Worker(taskflow_broker, registry=taskflow_registry)

    return work
