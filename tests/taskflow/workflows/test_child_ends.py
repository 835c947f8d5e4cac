"""What a step keeps of how its child runs ended, and what a purge takes from a run that waits."""

from collections.abc import Collection
from typing import Any

import pytest

from taskflow import Broker, Registry, Run, Worker, task, workflow
from taskflow.broker.record import Record
from taskflow.errors import RunFailed
from taskflow.tasks.run import RUN
from taskflow.tasks.settling import OVERDUE
from taskflow.testing import ManualClock
from taskflow.workflows import child_end
from tests.taskflow.workflows.conftest import Go


@pytest.mark.parametrize("errors", ["stop", "collect"])
@pytest.mark.parametrize("most", [100_000, 10])
def test_ends_are_read_once_unless_they_are_large(
    taskflow_registry: Registry,
    taskflow_broker: Broker,
    go: Go,
    monkeypatch: pytest.MonkeyPatch,
    errors: Any,
    most: int,
) -> None:
    monkeypatch.setattr(child_end, "MOST_KEPT", most)

    @task(registry=taskflow_registry, queue="work", retries=0)
    def pack(line: str) -> str:
        if line == "bad":
            raise ValueError(line)
        return line

    @workflow(registry=taskflow_registry, queue="flows")
    def flow(ctx: Run) -> list[Any]:
        lines = ["a", "b"] if errors == "stop" else ["a", "bad"]
        found = ctx.map(pack, lines, errors=errors)
        ctx.wait("go")
        ctx.wait("on")
        return [found, ctx.call(pack, "c")]

    Worker(taskflow_broker, registry=taskflow_registry)
    run = flow.delay()
    go()
    read: list[int] = []
    look = taskflow_broker.records

    def records(kind: str, keys: Collection[str]) -> dict[str, Record]:
        if kind == RUN and len(keys) == 2:
            read.append(1)
        return look(kind, keys)

    monkeypatch.setattr(taskflow_broker, "records", records)
    run.signal("go")
    go()
    run.signal("on")
    go()
    found, last = run.get(0)
    assert last == "c"
    if errors == "stop":
        assert found == ["a", "b"]
    else:
        assert [one["state"] for one in found] == ["done", "failed"]
        assert found[1]["error"]["message"] == "bad"
    assert bool(read) is (most == 10)
    assert run.tree().steps[0].result is None


def test_who_stops_at_failures_now_sees_those_that_were_collected(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    errors: list[Any] = ["collect"]

    @task(registry=taskflow_registry, queue="work", retries=0)
    def pack(line: str) -> str:
        raise ValueError(line)

    @workflow(registry=taskflow_registry, queue="flows")
    def flow(ctx: Run) -> Any:
        try:
            found = ctx.map(pack, ["a"], errors=errors[0])
        except RunFailed as failed:
            return failed.error.message
        ctx.wait("go")
        return found

    Worker(taskflow_broker, registry=taskflow_registry)
    run = flow.delay()
    go()
    errors[0] = "stop"
    run.signal("go")
    go()
    assert run.get(0) == "a"


def test_a_purge_does_not_keep_a_run_asleep(
    taskflow_registry: Registry, taskflow_broker: Broker, taskflow_clock: ManualClock, go: Go
) -> None:
    woken: list[float] = []

    @workflow(registry=taskflow_registry, queue="flows")
    def flow(ctx: Run) -> int:
        ctx.sleep(40)
        woken.append(taskflow_clock.now())
        return 7

    Worker(taskflow_broker, registry=taskflow_registry)
    began = taskflow_clock.now()
    purged = flow.delay()
    go()
    assert taskflow_broker.purge("flows") == 1
    other = flow.delay()
    go(advance=True)
    assert (purged.get(0), other.get(0)) == (7, 7)
    assert woken == [began + 40, began + 40 + OVERDUE]
