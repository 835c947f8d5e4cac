"""Runs of workflows among those of tasks."""

import pytest

from taskflow import Broker, Registry, Run, Worker, task, workflow
from taskflow.broker.record import RecordPage, RecordQuery
from taskflow.tasks.named_call import send_task
from taskflow.testing import ManualClock
from taskflow.workflows import run_listing
from taskflow.workflows.run_listing import newest_runs
from tests.taskflow.workflows.conftest import Go


def test_a_list_of_workflows_reads_no_runs_of_tasks(
    taskflow_registry: Registry,
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    go: Go,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @task(registry=taskflow_registry, queue="q", result="1d")
    def plain() -> None: ...

    @workflow(registry=taskflow_registry, queue="q", name="first", aliases=["once"])
    def first(ctx: Run) -> None: ...

    @workflow(registry=taskflow_registry, queue="q", name="second")
    def second(ctx: Run) -> None:
        ctx.sleep("1h")

    Worker(taskflow_broker, registry=taskflow_registry)
    made = []
    for function in (first, second, plain, second, first):
        made.append(function.delay().id)
        taskflow_clock.advance(1)
    old = send_task("once", queue="q", result="1d")
    go()
    asked: list[RecordQuery] = []
    look = taskflow_broker.list_records

    def list_records(query: RecordQuery) -> RecordPage:
        asked.append(query)
        return look(query)

    monkeypatch.setattr(taskflow_broker, "list_records", list_records)
    monkeypatch.setattr(run_listing, "PAGE", 1)
    found = [row.id for row in newest_runs(taskflow_broker)]
    assert found == [old.id, made[4], made[3], made[1], made[0]]
    assert {query.label for query in asked if query.kind == "run"} == {"first", "once", "second"}
    assert [row.id for row in newest_runs(taskflow_broker, states=["suspended"])] == made[3:0:-2]


def test_a_run_that_was_forgotten_leaves_nothing_to_the_next_of_its_id(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    done: list[str] = []

    @workflow(registry=taskflow_registry, queue="q", name="flow")
    def flow(ctx: Run) -> int:
        ctx.step(done.append, "step")
        return len(done)

    Worker(taskflow_broker, registry=taskflow_registry)
    for number in (1, 2):
        run = flow.options(id="one").delay()
        go()
        assert run.get(0) == number
        run.forget()
        assert taskflow_broker.count_records("step") == {}
        assert taskflow_broker.count_records("sweep") == {}
