"""What a task sends while it runs, and what follows from its end."""

from collections.abc import Callable
from contextvars import Context as Context_
from contextvars import copy_context
from typing import Any

import pytest

from taskflow import Broker, Registry, task
from taskflow.errors import (
    ResultTimeout,
    RunFailed,
    WouldDeadlock,
)
from taskflow.message import Message
from tests.taskflow.making import FIXED

Drain = Callable[[], int]
Later = Callable[[float], int]
DAY = 86400.0


def test_what_follows_success_and_failure(taskflow_registry: Registry, drain: Drain) -> None:
    told: list[Any] = []

    @task(registry=taskflow_registry, name="succeeded")
    def succeeded(value: int) -> None:
        told.append(value)

    @task(registry=taskflow_registry, name="failed")
    def failed(what: dict[str, Any]) -> None:
        told.append(what)

    @task(registry=taskflow_registry, name="t", retries=0, on_success=succeeded, on_failure=failed)
    def t(x: int) -> int:
        if x < 0:
            raise ValueError("below 0")
        return x + 1

    drain()
    t.delay(1)
    drain()
    assert told.pop() == 2
    call = t.delay(-1)
    drain()
    assert told.pop() == {
        "task": "t",
        "id": call.id,
        "reason": "failed 1 times",
        "error": "ValueError",
        "message": "below 0",
    }


@pytest.mark.parametrize("kept", [True, False])
def test_what_a_task_sends_is_sent_if_it_succeeds_and_only_then(
    kept: bool, taskflow_registry: Registry, taskflow_broker: Broker, later: Later
) -> None:
    from taskflow import publish

    seen: list[str] = []
    fails = [True, False]
    taskflow_registry.subscribe("order.paid", queue="audit")(lambda event: seen.append(event))

    @task(registry=taskflow_registry, name="child")
    def child(x: int) -> None:
        seen.append(f"child {x}")

    @task(registry=taskflow_registry, name="parent", policy=FIXED, result="1h" if kept else None)
    def parent() -> None:
        child.delay(1)
        child.send_many([(2,), (3,)])
        assert publish("order.paid", "paid").reached == 1
        assert taskflow_broker.counts("default").visible == 0
        if fails.pop(0):
            raise ValueError

    later(0)
    parent.delay()
    assert later(0) == 1
    assert seen == []
    assert later(1) == 5
    assert sorted(seen) == ["child 1", "child 2", "child 3", "paid"]


def test_get_inside_a_task_might_wait_for_its_own_slot(
    taskflow_registry: Registry, drain: Drain
) -> None:
    @task(registry=taskflow_registry, name="child", result="1h")
    def child() -> int:
        return 1

    @task(registry=taskflow_registry, name="parent", retries=0, result="1h")
    def parent() -> None:
        child.delay().get()

    @task(registry=taskflow_registry, name="patient", retries=0, result="1h")
    def patient() -> str:
        result = child.delay()
        with pytest.raises(ResultTimeout):
            result.get(0, allow_wait=True)  # which is sent at once then
        return result.state

    drain()
    refused, waited = parent.delay(), patient.delay()
    drain()
    with pytest.raises(RunFailed, match="WouldDeadlock: waiting"):
        refused.get(0)
    assert waited.get(0) == "waiting"
    assert issubclass(WouldDeadlock, Exception)


def test_calls_inside_a_task_go_to_the_broker_it_came_from(taskflow_registry: Registry) -> None:
    """Whatever the default one is."""
    from taskflow import Worker
    from taskflow.testing import memory_broker

    seen: list[int] = []

    @task(registry=taskflow_registry, name="child")
    def child() -> None:
        seen.append(1)

    @task(registry=taskflow_registry, name="parent")
    def parent() -> None:
        child.delay()

    broker = memory_broker()
    worker = Worker(broker, registry=taskflow_registry)
    broker.send("default", [Message("m", '{"task":"parent"}')])
    assert len(worker.drain()) == 2
    assert seen == [1]
    broker.close()


@pytest.mark.parametrize("fails", [False, True])
def test_what_goes_on_after_a_run_sends_at_once(
    fails: bool, taskflow_registry: Registry, taskflow_broker: Broker, drain: Drain
) -> None:
    """Nobody would ever send what is collected for an attempt that has ended."""
    left: list[Context_] = []

    @task(registry=taskflow_registry, name="child")
    def child() -> None: ...

    @task(registry=taskflow_registry, name="parent", retries=0)
    def parent() -> None:
        left.append(copy_context())
        if fails:
            raise ValueError

    drain()
    parent.delay()
    drain()
    left[0].run(child.delay)
    assert taskflow_broker.counts("default").visible == 1
