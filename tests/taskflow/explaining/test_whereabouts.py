"""Where things are, what happened to them, and what comes, in every state."""

from collections.abc import Callable

import pytest

from taskflow import Broker, Registry, Run, chain, every, publish
from taskflow.errors import LimitExceeded
from taskflow.explaining.telling import tell_sighting
from taskflow.explaining.whereabouts import Whereabouts
from taskflow.tasks.decorator import task
from taskflow.testing import ManualClock, drain
from taskflow.topology import declare
from taskflow.workflows.workflow_decorator import workflow

Told = Callable[[str], list[str]]


@pytest.fixture
def registry(taskflow_registry: Registry) -> Registry:
    @taskflow_registry.subscribe("made", queue="work", retries=0)
    def record(payload: object) -> None:
        raise ValueError("card 4242")

    @every("1h")
    @task(queue="work", registry=taskflow_registry, name="tidy")
    def tidy() -> None: ...

    return taskflow_registry


@pytest.fixture
def told(taskflow_broker: Broker, taskflow_clock: ManualClock, registry: Registry) -> Told:
    """What is told of an id, without the time that things are dropped at."""
    taskflow_clock.advance(1000.0 - taskflow_clock.now())
    declare(taskflow_broker, registry)
    for tender in registry.tenders:
        tender.declare(taskflow_broker)

    def told(id: str) -> list[str]:
        found = Whereabouts(registry, taskflow_broker).find(id)
        lines = [line for one in found for line in tell_sighting(one)]
        return [line.strip() for line in lines if "it is dropped" not in line]

    return told


def test_a_message_that_is_delayed_hidden_paused_dead_and_done(
    told: Told, taskflow_broker: Broker, taskflow_clock: ManualClock, registry: Registry
) -> None:
    publish("made", 1, id="e1", delay=60)
    name = next(iter(registry)).name
    assert told("e1") == [
        "message e1 in work: delayed",
        "sent to made 1970-01-01T00:16:40Z",
        f"next: it may be received, for {name} 1970-01-01T00:17:40Z",
    ]
    taskflow_clock.advance(60)
    taskflow_broker.pause("work")
    assert told("e1")[-1] == "next: nothing: work is paused (`taskflow resume work`)"
    taskflow_broker.pause("work", False)
    (held,) = taskflow_broker.receive("work")
    assert told("e1")[2:] == [
        "received once, first 1970-01-01T00:17:40Z",
        "next: attempt 1 of 1 runs, or waits for the next one: unless a worker extends its lease, "
        "it may be received again 1970-01-01T00:18:10Z",
    ]
    taskflow_broker.give_back([held])
    drain(taskflow_broker, registry=registry, raise_errors=False)
    assert told("e1") == [
        "message e1 in work-dlq: dead letter",
        "sent to made 1970-01-01T00:16:40Z",
        "first received 1970-01-01T00:17:40Z",
        f"dead after 1 attempts by {name} with ValueError: failed 1 times 1970-01-01T00:17:40Z",
        "next: nothing, until somebody acts: `taskflow dlq redrive work`",
    ]
    taskflow_broker.purge("work-dlq")
    assert told("e1") == []


def test_runs_that_wait_for_their_time_their_plan_a_worker_or_nothing_any_more(
    told: Told, taskflow_broker: Broker, taskflow_clock: ManualClock, registry: Registry
) -> None:
    @task(queue="work", registry=registry, result="1h", name="add")
    def add(x: int, y: int = 0) -> int:
        return x + y

    later = add.options(delay=7200).delay(1)
    assert told(later.id)[0] == f"run {later.id} in work: scheduled"
    assert told(later.id)[2].startswith("next: its message is sent to work 1970-01-01T")
    plan = chain(add.s(1), add.s(2)).delay()
    assert told(plan.id)[-1] == f"next: it waits for what is before it in its plan ({plan.id})"
    soon = add.delay(1)
    assert told(soon.id)[2] == "next: its message in work says more, below"
    lost = add.delay(1)
    taskflow_broker.purge("work", [lost.id])
    assert told(lost.id)[-1].startswith("next: its message in work is gone: it fails once")
    drain(taskflow_broker, registry=registry, raise_errors=False)
    done = told(soon.id)
    assert done[0] == f"run {soon.id} in work: done"
    assert [line.split(" 19")[0] for line in done[1:]] == [
        "add was called",
        "it ended: done at attempt 1",
        "next: what is kept of it goes",
    ]


def test_a_workflow_that_waits_and_a_schedule(
    told: Told, taskflow_broker: Broker, registry: Registry
) -> None:
    @workflow(queue="work", registry=registry, name="ship")
    def ship(ctx: Run) -> None:
        ctx.wait("picked.up", timeout="1d")

    run = ship.options(id="r1").delay()
    drain(taskflow_broker, registry=registry, raise_errors=False)
    assert run.id == "r1"
    waits = "next: it goes on after the signal 'picked.up', at the latest 1970-01-02T"
    assert told("r1")[-1].startswith(waits)
    lines = told("tidy")
    assert lines[0] == "schedule tidy in work: active"
    assert [line[:20] for line in lines[2:]] == ["next: tidy is due 19"] * 3


def test_an_id_that_no_broker_could_have_is_nobodys(told: Told) -> None:
    for id in ("", "x" * 5000, "a\nb", "~", "%", "*"):
        try:
            assert told(id) == []
        except LimitExceeded:
            pytest.fail(f"{id[:9]!r} is refused")
