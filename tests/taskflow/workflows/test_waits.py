"""Sleeps, signals, events and child runs: what a run waits for, and who wakes it."""

import asyncio
from typing import Any

import pytest

from taskflow import (
    AsyncRun,
    Broker,
    Registry,
    Run,
    Worker,
    WorkflowResult,
    chain,
    publish,
    schedules,
    send_task,
    task,
    workflow,
)
from taskflow.errors import NoResult, RegistrationError, RunCancelled, RunFailed
from taskflow.testing import ManualClock, drain
from taskflow.worker.run_tally import Tally
from tests.taskflow.workflows.conftest import Go

pytestmark = pytest.mark.usefixtures("taskflow_broker")
DAY = 86400.0


def declared(broker: Broker, registry: Registry) -> None:
    Worker(broker, registry=registry)


@pytest.mark.parametrize("seconds", [0, 0.5, 900, 901, 30 * DAY])
def test_a_sleep_ends_when_it_should(
    taskflow_registry: Registry,
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    go: Go,
    seconds: float,
) -> None:
    @workflow(registry=taskflow_registry)
    def flow(ctx: Run) -> float:
        ctx.sleep(seconds)
        return taskflow_broker.clock.now()

    declared(taskflow_broker, taskflow_registry)
    run, began = flow.delay(), taskflow_clock.now()
    go()
    assert run.state == ("suspended" if seconds else "done")
    assert taskflow_broker.counts("default").in_flight == 0
    taskflow_clock.set(began + seconds - 0.001)
    go()
    assert run.ready is (seconds == 0)
    taskflow_clock.set(began + seconds)
    go()
    assert run.get(0) == pytest.approx(began + max(0, seconds), abs=0.01)


def test_a_clock_that_is_set_back_lengthens_a_sleep_and_breaks_nothing(
    taskflow_registry: Registry, taskflow_broker: Broker, taskflow_clock: ManualClock, go: Go
) -> None:
    @workflow(registry=taskflow_registry)
    def flow(ctx: Run) -> str:
        ctx.sleep_until(taskflow_clock.now() + 100)
        ctx.wait("never", timeout=50)
        return "done"

    declared(taskflow_broker, taskflow_registry)
    run = flow.delay()
    go()
    taskflow_clock.set(taskflow_clock.now() - 3600)
    go()
    assert run.state == "suspended"
    go(advance=True)
    assert run.get(0) == "done"


@pytest.mark.parametrize("when", ["before it is begun", "before it waits", "while it waits"])
def test_a_signal_is_kept_until_it_is_taken(
    taskflow_registry: Registry,
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    go: Go,
    when: str,
) -> None:
    @workflow(registry=taskflow_registry)
    def flow(ctx: Run) -> Any:
        ctx.sleep(10)
        return ctx.wait("picked.up", timeout="3d")

    declared(taskflow_broker, taskflow_registry)
    run = flow.delay()
    if when == "before it is begun":
        assert run.signal("picked.up", {"by": "me"})
    go()
    if when == "before it waits":
        assert run.signal("picked.up", {"by": "me"})
        assert "signal 'picked.up' waits to be taken" in str(run.tree())
    taskflow_clock.advance(10)
    go()
    if when == "while it waits":
        assert run.tree().waits_for is not None
        assert "the signal 'picked.up' until " in (run.tree().waits_for or "")
        assert run.signal("other")
        go()
        assert run.state == "suspended"
        assert run.signal("picked.up", {"by": "me"})
    began = taskflow_clock.now()
    go()
    assert run.get(0) == {"by": "me"}
    assert taskflow_clock.now() == began
    assert not run.signal("picked.up", 2)  # it has ended


def test_signals_of_a_name_are_taken_in_order_each_once(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    @workflow(registry=taskflow_registry)
    def flow(ctx: Run) -> list[Any]:
        first = [ctx.wait("n"), ctx.wait("n", type=int)]
        return [*first, ctx.wait("n"), ctx.wait("n", timeout=5)]

    declared(taskflow_broker, taskflow_registry)
    run = flow.delay()
    for number, id in ((1, "a"), (1, "a"), (2, "b")):
        assert run.signal("n", number, id=id)
    go()
    assert run.state == "suspended"
    assert run.signal("n", 3)
    go(advance=True)
    assert run.get(0) == [1, 2, 3, None]
    assert run.tree().signals == []


def test_a_signal_within_the_time_counts_however_late_the_worker_is(
    taskflow_registry: Registry, taskflow_broker: Broker, taskflow_clock: ManualClock, go: Go
) -> None:
    @workflow(registry=taskflow_registry)
    def flow(ctx: Run) -> Any:
        return ctx.wait("go", timeout=10)

    declared(taskflow_broker, taskflow_registry)
    run = flow.delay()
    go()
    run.signal("go", "in time")
    taskflow_clock.advance(500)
    go()
    assert run.get(0) == "in time"


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 257])
def test_the_name_of_a_signal_is_a_line(
    taskflow_registry: Registry, taskflow_broker: Broker, name: str
) -> None:
    @workflow(registry=taskflow_registry)
    def flow(ctx: Run) -> None: ...

    declared(taskflow_broker, taskflow_registry)
    run = flow.delay()
    with pytest.raises(ValueError, match="the name of a signal"):
        run.signal(name)
    with pytest.raises(TypeError):
        run.signal("go", {1j})
    assert not WorkflowResult("nobody").signal("go")
    with pytest.raises(NoResult, match="no run 'nobody'"):
        WorkflowResult("nobody").tree()


def test_an_event_is_a_signal_of_the_run_whose_key_it_names(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go, caplog: pytest.LogCaptureFixture
) -> None:
    @workflow(
        registry=taskflow_registry,
        queue="flows",
        key="order",
        on={"parcel.shipped": "order.id"},
    )
    def flow(order: str, ctx: Run) -> Any:
        ctx.sleep(10)
        return ctx.wait("parcel.shipped", timeout="3d")

    declared(taskflow_broker, taskflow_registry)
    run, other = flow.delay("o1"), flow.delay("o2")
    for _ in range(2):  # the same event, delivered twice
        publish("parcel.shipped", {"order": {"id": "o1"}, "parcel": 7}, id="evt")
    publish("parcel.shipped", {"order": {"id": "nobody's"}})
    publish("parcel.shipped", {"order": None})
    with caplog.at_level("INFO", "taskflow.workflows"):
        runs = go(advance=True)
    skipped = [one.outcome.skipped for one in runs if one.topic == "parcel.shipped"]  # type: ignore[union-attr]
    assert sorted(map(str, skipped)) == ["None", "fits no run", "fits no run"]
    assert run.get(0) == {"order": {"id": "o1"}, "parcel": 7}
    assert other.get(0) is None
    assert caplog.text.count("fits no run of") == 2
    assert taskflow_broker.counts("flows-dlq").visible == 0


def test_an_event_that_fits_no_run_is_counted(
    taskflow_registry: Registry, taskflow_broker: Broker
) -> None:
    @workflow(registry=taskflow_registry, queue="flows", name="flow", on={"shipped": "order"})
    def flow(order: str, ctx: Run) -> None: ...

    worker, tally = Worker(taskflow_broker, registry=taskflow_registry), Tally()
    publish("shipped", {"order": "nobody's"})
    for job in worker.drain():
        tally.ended(job, 0.5)
    counts = {"runs": 1, "failed": 0, "skipped": 1, "seconds": 0.5, "most": 0.5}
    assert tally.handlers == {"flow.on.shipped": counts}


@pytest.mark.parametrize("name", ["fulfil", "shop.orders.fulfil"])
def test_the_handler_of_such_an_event_is_named_by_its_workflow(
    taskflow_registry: Registry, name: str
) -> None:
    def fulfil(id: str, ctx: Run) -> None: ...

    def made(name: str) -> None:
        shipped = {"parcel.shipped": "id"}
        workflow(registry=taskflow_registry, queue="q", name=name, on=shipped)(fulfil)

    made(name)
    (subscription,) = taskflow_registry
    assert subscription.name == f"{name}.on.parcel.shipped"
    with pytest.raises(RegistrationError, match=rf"{name}\.on\.parcel.*; give other\.on\.parcel"):
        made("other")


def test_child_runs_are_waited_for_and_hold_nothing(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    @task(registry=taskflow_registry, queue="packing")
    def pack(line: int) -> int:
        return line * 2

    @workflow(registry=taskflow_registry, queue="inner")
    def inner(number: int, ctx: Run) -> int:
        ctx.sleep(5)
        return number + ctx.call(pack, number)

    @workflow(registry=taskflow_registry, queue="outer")
    def outer(ctx: Run) -> list[Any]:
        return [ctx.map(pack, range(5), limit=2), ctx.call(inner, 10), ctx.map(pack, [])]

    declared(taskflow_broker, taskflow_registry)
    run = outer.delay()
    go(advance=True)
    assert run.get(0) == [[0, 2, 4, 6, 8], 30, []]
    first, second, third = run.tree().steps
    assert [child.state for child in first.runs] == ["done"] * 5
    assert [step.kind for step in second.runs[0].steps] == ["sleep", "runs"]
    assert (third.size, third.state) == (0, "done")


def test_a_limit_of_children_is_kept(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    @task(registry=taskflow_registry, queue="packing")
    def pack(line: int) -> int:
        return line

    @workflow(registry=taskflow_registry, queue="outer")
    def outer(ctx: Run) -> list[int]:
        return ctx.map(pack, range(7), limit=3)

    declared(taskflow_broker, taskflow_registry)
    run = outer.delay()
    worker = Worker(taskflow_broker, "outer", registry=taskflow_registry)
    worker.drain()
    assert taskflow_broker.counts("packing").visible == 3
    go()
    assert run.get(0) == list(range(7))


def test_a_failed_child_stops_the_others_and_collect_does_not(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    ran: list[int] = []

    @task(registry=taskflow_registry, queue="packing", retries=0)
    def pack(line: int) -> int:
        ran.append(line)
        if line == 1:
            raise ValueError("odd")
        return line

    @workflow(registry=taskflow_registry, queue="outer")
    def stops(ctx: Run) -> str:
        try:
            ctx.map(pack, range(4), limit=2)
        except RunFailed as failed:
            ctx.sleep(3)
            return str(failed.error.type)
        return "?"

    @workflow(registry=taskflow_registry, queue="outer")
    def collects(ctx: Run) -> Any:
        return ctx.map(pack, range(4), errors="collect")

    declared(taskflow_broker, taskflow_registry)
    run = stops.delay()
    go(advance=True)
    assert run.get(0) == "ValueError"
    assert len(ran) < 4
    run = collects.delay()
    go(advance=True)
    found = run.get(0)
    assert [one["state"] for one in found] == ["done", "failed", "done", "done"]
    assert [one["value"] for one in found] == [0, None, 2, 3]
    assert found[1]["error"]["message"] == "odd"


def test_a_failed_child_that_nobody_catches_fails_the_run_at_once(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    @task(registry=taskflow_registry, retries=0)
    def pack() -> None:
        raise ValueError("odd")

    @workflow(registry=taskflow_registry, retries=9)
    def flow(ctx: Run) -> None:
        ctx.call(pack)

    declared(taskflow_broker, taskflow_registry)
    run = flow.delay()
    go(advance=True)
    assert run.state == "failed"
    assert "odd" in str(run.error)
    assert taskflow_broker.counts("default-dlq").visible == 2


def test_a_workflow_that_calls_itself_without_end_is_stopped(
    taskflow_registry: Registry,
    taskflow_broker: Broker,
    go: Go,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from taskflow.workflows import children

    monkeypatch.setattr(children, "DEEPEST", 5)

    def function(depth: int, ctx: Run) -> int:
        deepest.append(depth)
        return ctx.call(flow, depth + 1)

    deepest: list[int] = []
    flow = workflow(registry=taskflow_registry, name="flow")(function)
    declared(taskflow_broker, taskflow_registry)
    run = flow.delay(0)
    go(advance=True)
    assert max(deepest) == 5
    assert "does the workflow call itself without end?" in str(run.error)


def test_cancel_reaches_children_and_calls_who_cleans_up(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    undone: list[Any] = []

    @workflow(registry=taskflow_registry)
    def undo(order: str, ctx: Run) -> None:
        ctx.sleep(1)
        undone.append((order, ctx.cancels))

    @workflow(registry=taskflow_registry, on_cancel=undo)
    def inner(order: str, ctx: Run) -> None:
        ctx.wait("never")

    @workflow(registry=taskflow_registry, on_cancel=undo)
    def outer(order: str, ctx: Run) -> None:
        ctx.call(inner, order)

    declared(taskflow_broker, taskflow_registry)
    run = outer.delay("o1")
    go()
    (child,) = run.tree().steps[0].runs
    assert run.cancel()
    go(advance=True)
    assert run.state == "cancelled"
    assert WorkflowResult(child.id).state == "cancelled"
    assert sorted(undone) == [("o1", run.id), ("o1", child.id)]
    assert not run.cancel()
    with pytest.raises(RunCancelled):
        run.get(0)


def test_a_cancel_while_it_runs_is_seen_at_the_next_step(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    done: list[str] = []

    def first() -> None:
        done.append("first")
        assert runs[0].cancel()

    @workflow(registry=taskflow_registry)
    def flow(ctx: Run) -> None:
        ctx.step(first)
        ctx.options(name="second").step(lambda: done.append("second"))

    declared(taskflow_broker, taskflow_registry)
    runs = [flow.delay()]
    go(advance=True)
    assert runs[0].state == "cancelled"
    assert done == ["first"]  # whose effect is there, and is not kept
    assert runs[0].tree().steps == []


@pytest.mark.parametrize("at", ["first", "second"])
def test_what_cleans_up_comes_after_the_step_that_ran_when_the_run_was_cancelled(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go, at: str
) -> None:
    """In the first attempt, and in one after a wait; another worker cleans up meanwhile."""
    done: list[str] = []
    others = Registry()

    def work(name: str) -> None:
        if name == at:
            assert runs[0].cancel()
            drain(taskflow_broker, others)
        done.append(name)

    @workflow(registry=taskflow_registry, queue="undo", name="undo")
    def undo(ctx: Run) -> None:
        done.append(f"undo of {ctx.cancels}")

    workflow(registry=others, queue="undo", name="undo")(undo.function)

    @workflow(registry=taskflow_registry, on_cancel=undo)
    def flow(ctx: Run) -> None:
        ctx.step(work, "first")
        ctx.sleep(10)
        ctx.options(name="second").step(work, "second")
        ctx.sleep(10)

    declared(taskflow_broker, taskflow_registry)
    runs = [flow.options(id="run").delay()]
    go(advance=True)
    assert runs[0].state == "cancelled"
    assert done[-2:] == [at, "undo of run"]


def test_side_by_side_in_one_coroutine(
    taskflow_registry: Registry, taskflow_broker: Broker, taskflow_clock: ManualClock, go: Go
) -> None:
    log: list[str] = []

    @task(registry=taskflow_registry)
    def pack(number: int) -> int:
        log.append(f"pack {number}")
        return number

    async def pay(number: int) -> int:
        log.append(f"pay {number}")
        return number

    def post(number: int) -> int:
        log.append(f"post {number}")
        return number

    @workflow(registry=taskflow_registry)
    async def flow(ctx: AsyncRun) -> list[Any]:
        first = await ctx.gather((pay, 1), ctx.step(post, 2), pack.s(3), ctx.wait("go", "1h"))
        second = await asyncio.gather(ctx.step(pay, 4), ctx.call(pack, 5), ctx.call(pack, 6))
        await ctx.sleep(5)
        return [first, second]

    declared(taskflow_broker, taskflow_registry)
    run = flow.delay()
    go()
    assert run.state == "suspended"
    run.signal("go", "!")
    go(advance=True)
    assert run.get(0) == [[1, 2, 3, "!"], [4, 5, 6]]
    assert sorted(log) == ["pack 3", "pack 5", "pack 6", "pay 1", "pay 4", "post 2"]


def test_a_coroutine_step_has_a_time_limit(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    @workflow(registry=taskflow_registry, retries=0)
    async def flow(ctx: AsyncRun) -> None:
        await ctx.options(timeout=1e-9).step(asyncio.Event().wait)

    declared(taskflow_broker, taskflow_registry)
    run = flow.delay()
    go(advance=True)
    assert "TimeoutError" in str(run.error)


def test_a_workflow_is_a_task_for_plans_schedules_and_callers_by_name(
    taskflow_registry: Registry, taskflow_broker: Broker, taskflow_clock: ManualClock, go: Go
) -> None:
    ended: list[str] = []

    @task(registry=taskflow_registry)
    def last(value: int) -> int:
        return value * 100

    @workflow(registry=taskflow_registry, name="flow")
    def flow(number: int, ctx: Run) -> int:
        ctx.sleep(5)
        ended.append(ctx.run or "")
        return ctx.options(name="plus").step(lambda: number + 1)

    declared(taskflow_broker, taskflow_registry)
    plan = chain(flow.s(1), last.s()).delay()
    by_name = send_task("flow", (2,))
    with_result = send_task("flow", (3,), result="1d")
    schedules.put("tick", task=flow, every="1h", args=[4])
    started = taskflow_clock.now()
    while taskflow_clock.now() < started + 7200:
        taskflow_clock.advance(300)
        go()
    assert plan.get(0) == 200
    assert WorkflowResult[int](by_name.id).get(0) == 3
    assert with_result.get(0) == 4
    assert len(ended) == 3 + 1  # that of the second tick sleeps


def test_a_run_on_a_fifo_queue_lets_its_group_go_on_while_it_waits(
    taskflow_registry: Registry, taskflow_broker: Broker, go: Go
) -> None:
    order: list[str] = []

    @workflow(registry=taskflow_registry, queue="flows.fifo")
    def flow(name: str, ctx: Run) -> None:
        order.append(f"{name} begins")
        ctx.sleep(5)
        order.append(f"{name} ends")

    declared(taskflow_broker, taskflow_registry)
    runs = [flow.options(group="g").delay(name) for name in "ab"]
    go(advance=True)
    assert [run.error for run in runs] == [None, None]
    assert list(dict.fromkeys(order)) == ["a begins", "b begins", "a ends", "b ends"]


def test_expiry_is_of_what_has_not_begun(
    taskflow_registry: Registry, taskflow_broker: Broker, taskflow_clock: ManualClock, go: Go
) -> None:
    @workflow(registry=taskflow_registry)
    def flow(ctx: Run) -> str:
        ctx.sleep(50)
        ctx.sleep(50)
        return "done"

    declared(taskflow_broker, taskflow_registry)
    begun, late = flow.options(expires=10).delay(), flow.options(expires=10, delay=20).delay()
    go(advance=True)
    assert begun.get(0) == "done"
    assert late.state == "expired"


def test_all_that_is_kept_of_a_run_goes_in_its_time(
    taskflow_registry: Registry, taskflow_broker: Broker, taskflow_clock: ManualClock, go: Go
) -> None:
    from taskflow.broker.record import RecordQuery

    @task(registry=taskflow_registry)
    def pack(number: int) -> int:
        return number

    @workflow(registry=taskflow_registry, keep="2d")
    def flow(ctx: Run) -> None:
        ctx.map(pack, range(3))
        ctx.sleep(1)

    declared(taskflow_broker, taskflow_registry)
    run = flow.delay()
    run.signal("never taken", 1)
    go(advance=True)
    kinds = ("run", "step", "signal", "sweep")
    for kind, count in zip(kinds, (0, 0, 0, 0), strict=True):
        left = taskflow_broker.list_records(RecordQuery(kind=kind)).records
        assert len(left) == count, kind


class Interposed:
    """A broker where something happens just after a look at signals, or at child runs."""

    def __init__(self, broker: Broker, verb: str, kind: str, then: Any) -> None:
        self._broker, self._verb, self._kind, self._then = broker, verb, kind, then

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._broker, name)
        if name != self._verb:
            return found

        def look(asked: Any, *more: Any) -> Any:
            answer = found(asked, *more)
            if getattr(asked, "kind", asked) == self._kind and self._then is not None:
                then, self._then = self._then, None
                then()
            return answer

        return look


def test_a_signal_between_the_look_and_the_wait_is_not_missed(
    taskflow_registry: Registry, taskflow_broker: Broker
) -> None:
    @workflow(registry=taskflow_registry)
    def flow(ctx: Run) -> Any:
        return ctx.wait("go")

    declared(taskflow_broker, taskflow_registry)
    run = flow.delay()
    broker: Any = Interposed(taskflow_broker, "list_records", "signal", lambda: run.signal("go", 1))
    Worker(broker, registry=taskflow_registry).drain()
    assert run.get(0) == 1


def test_a_child_that_ends_between_the_look_and_the_wait_is_not_missed(
    taskflow_registry: Registry, taskflow_broker: Broker, taskflow_clock: ManualClock
) -> None:
    @task(registry=taskflow_registry, queue="packing")
    def pack() -> int:
        return 7

    @workflow(registry=taskflow_registry, queue="flows")
    async def flow(ctx: AsyncRun) -> list[Any]:
        return await ctx.gather(pack.s(), ctx.wait("go"))

    declared(taskflow_broker, taskflow_registry)
    run = flow.delay()
    flows = Worker(taskflow_broker, "flows", registry=taskflow_registry)
    flows.drain()  # it waits for both
    run.signal("go", 1)
    packing = Worker(taskflow_broker, "packing", registry=taskflow_registry)
    looks: list[int] = []

    def end() -> None:
        looks.append(len(packing.drain()))

    broker: Any = Interposed(taskflow_broker, "records", "run", None)
    broker._then = lambda: setattr(broker, "_then", end)  # the first look is at the run itself
    Worker(broker, "flows", registry=taskflow_registry).drain()
    assert looks == [1]
    assert run.get(0) == [7, 1]
