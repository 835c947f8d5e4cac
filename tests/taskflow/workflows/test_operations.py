"""A failed run goes on, a run is begun anew from a step, old lives go: operators at work."""

from collections.abc import Callable
from typing import Any

import pytest

from taskflow import Broker, Registry, Run, Worker, WorkflowResult, task, workflow
from taskflow.broker.record import RecordQuery
from taskflow.errors import (
    KeyTaken,
    LimitExceeded,
    NoResult,
    RunExists,
    RunFailed,
    StepFailed,
    WorkflowError,
)
from taskflow.tasks.canvas import old_lives
from taskflow.tasks.canvas.following import SWEEP
from taskflow.tasks.durable import STEP
from taskflow.tasks.run import RUN
from taskflow.testing import ManualClock, drain
from taskflow.workflows.retrying import retry_run
from taskflow.workflows.run_forking import fork_run
from tests.taskflow.workflows.conftest import Go

DAY = 86400.0


@pytest.fixture
def broken() -> set[str]:
    """What fails, by name."""
    return set()


@pytest.fixture
def done() -> list[str]:
    """What was done, in order."""
    return []


@pytest.fixture
def act(broken: set[str], done: list[str]) -> Callable[[str], str]:
    """Do something by this name, which may be broken."""

    def act(name: str) -> str:
        done.append(name)
        if name in broken:
            raise ValueError(f"{name} is broken")
        return name

    return act


def state_of(run: WorkflowResult[Any]) -> str:
    """Its state, which changes (a type checker takes it for settled)."""
    return run.state


def declare(broker: Broker, registry: Registry) -> None:
    Worker(broker, registry=registry)


def count(broker: Broker, kind: str) -> int:
    return len(broker.list_records(RecordQuery(kind=kind, limit=1000)).records)


# ---- retry -------------------------------------------------------------------------------------
@pytest.fixture
def order(
    taskflow_broker: Broker, taskflow_registry: Registry, act: Callable[[str], str]
) -> Callable[..., WorkflowResult[str]]:
    """Begin a workflow of three steps."""

    @workflow(registry=taskflow_registry, retries=0, key="name")
    def order(ctx: Run, name: str) -> str:
        ctx.options(name="reserve").step(act, "reserve")
        ctx.options(name="pay").step(act, "pay")
        ctx.options(name="ship").step(act, "ship")
        return name

    declare(taskflow_broker, taskflow_registry)
    return lambda name="o1", **options: order.options(**options).delay(name)


def test_a_failed_run_goes_on_from_its_failed_step(
    taskflow_broker: Broker,
    order: Callable[..., WorkflowResult[str]],
    broken: set[str],
    done: list[str],
    go: Go,
) -> None:
    broken.add("pay")
    run = order()
    go()
    assert state_of(run) == "failed"
    assert taskflow_broker.counts("default-dlq").visible == 1
    assert count(taskflow_broker, SWEEP) == 1
    broken.clear()
    run.retry()
    assert state_of(run) == "waiting"
    assert taskflow_broker.counts("default-dlq").visible == 0
    assert count(taskflow_broker, SWEEP) == 0
    go()
    assert run.get(0) == "o1"
    assert done == ["reserve", "pay", "pay", "ship"]
    assert run.error is None


def test_it_may_fail_and_go_on_again_and_again(
    order: Callable[..., WorkflowResult[str]],
    broken: set[str],
    done: list[str],
    go: Go,
) -> None:
    broken.add("ship")
    run = order()
    for _ in range(3):
        go()
        assert state_of(run) == "failed"
        run.retry()
    broken.clear()
    go()
    assert run.get(0) == "o1"
    assert done == ["reserve", "pay", *["ship"] * 4]


def test_a_stale_dead_letter_does_nothing(
    taskflow_broker: Broker,
    order: Callable[..., WorkflowResult[str]],
    broken: set[str],
    done: list[str],
    go: Go,
) -> None:
    broken.add("pay")
    run = order()
    go()
    taskflow_broker.redrive("default-dlq")  # and at the same time:
    retry_run(taskflow_broker, run.id)
    broken.clear()
    go()
    assert run.get(0) == "o1"
    assert done == ["reserve", "pay", "pay", "ship"]


def test_steps_whose_failure_was_kept_run_again(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    act: Callable[[str], str],
    broken: set[str],
    done: list[str],
    go: Go,
) -> None:
    @workflow(registry=taskflow_registry, retries=0)
    def order(ctx: Run) -> str:
        try:
            return ctx.options(name="pay").step(act, "pay")
        except StepFailed:
            ctx.options(name="tell").step(act, "tell")
            raise

    declare(taskflow_broker, taskflow_registry)
    broken.add("pay")
    run = order.delay()
    go()
    assert [step.state for step in run.tree().steps] == ["failed", "done"]
    broken.clear()
    run.retry()
    go()
    assert run.get(0) == "pay"
    assert done == ["pay", "tell", "pay"]


def test_what_cannot_be_retried_is_told_why(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    order: Callable[..., WorkflowResult[str]],
    go: Go,
) -> None:
    @task(registry=taskflow_registry, result="1d")
    def plain() -> None: ...

    with pytest.raises(NoResult, match="there is no run 'nosuch'"):
        retry_run(taskflow_broker, "nosuch")
    run = order()
    with pytest.raises(WorkflowError, match="has not failed; it is waiting"):
        run.retry()
    other = plain.delay()
    with pytest.raises(WorkflowError, match="plain, which is no workflow"):
        retry_run(taskflow_broker, other.id)
    go()
    with pytest.raises(WorkflowError, match="it is done"):
        run.retry()


def test_the_key_is_its_own_again_or_another_runs(
    taskflow_broker: Broker,
    order: Callable[..., WorkflowResult[str]],
    broken: set[str],
    go: Go,
) -> None:
    broken.add("pay")
    run = order()
    go()
    broken.clear()
    later = order()
    assert later.created
    with pytest.raises(KeyTaken, match=later.id):
        run.retry()
    assert state_of(run) == "failed"
    go()
    run.retry()
    assert order().id == run.id  # it holds the key


# ---- with child runs ---------------------------------------------------------------------------
@pytest.fixture
def mapped(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    act: Callable[[str], str],
) -> Callable[..., WorkflowResult[Any]]:
    """Begin a workflow with child runs, which may have steps of their own."""

    @task(registry=taskflow_registry, name="part", retries=0)
    def part(name: str) -> str:
        return act(name)

    @workflow(registry=taskflow_registry, name="inner", retries=0)
    def inner(ctx: Run, name: str) -> str:
        ctx.options(name="first").step(act, f"{name}.first")
        return ctx.call(part, f"{name}.second")

    @workflow(registry=taskflow_registry, name="outer", retries=0)
    def outer(ctx: Run, limit: int | None, names: list[str], inners: bool = False) -> list[str]:
        found = ctx.map(inner if inners else part, names, limit=limit)
        ctx.options(name="end").step(act, "end")
        return found

    declare(taskflow_broker, taskflow_registry)
    return outer.delay


@pytest.mark.parametrize("limit", [None, 1, 2])
def test_children_that_were_done_are_not_run_again(
    limit: int | None,
    taskflow_broker: Broker,
    mapped: Callable[..., WorkflowResult[Any]],
    broken: set[str],
    done: list[str],
    go: Go,
) -> None:
    broken.add("c")
    names = ["a", "b", "c", "d", "e"]
    run = mapped(limit, names)
    go()
    assert state_of(run) == "failed"
    before = [name for name in done if name != "c"]
    broken.clear()
    done.clear()
    run.retry()
    assert state_of(run) == "suspended"
    go()
    assert run.get(0) == names
    assert sorted([*before, *done]) == [*names, "end"]
    assert taskflow_broker.counts("default-dlq").visible == 0


def test_a_workflow_that_was_called_goes_on_too(
    taskflow_broker: Broker,
    mapped: Callable[..., WorkflowResult[Any]],
    broken: set[str],
    done: list[str],
    go: Go,
) -> None:
    broken.add("b.second")
    run = mapped(None, ["a", "b"], True)
    go()
    assert state_of(run) == "failed"
    child = run.tree().steps[0].runs[1]
    assert child.state == "failed"
    with pytest.raises(WorkflowError, match=f"is a part of run '{run.id}'; retry that"):
        retry_run(taskflow_broker, child.id)
    broken.clear()
    run.retry()
    go()
    assert run.get(0) == ["a.second", "b.second"]
    assert done.count("b.first") == 1
    assert done.count("a.second") == 1
    assert done.count("b.second") == 2
    assert taskflow_broker.counts("default-dlq").visible == 0


def test_a_child_that_was_told_to_stop_is_let_stop_first(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    act: Callable[[str], str],
    broken: set[str],
    go: Go,
) -> None:
    refusals: list[str] = []

    @workflow(registry=taskflow_registry, name="part", retries=0)
    def part(ctx: Run, name: str) -> str:
        ctx.step(str)  # from here on it is said to run
        if name == "bad":
            return act(name)
        if not refusals:
            go()  # meanwhile the other one fails, and with it the run that waits for both
            with pytest.raises(WorkflowError) as refused:
                run.retry()
            refusals.append(str(refused.value))
        return name

    @workflow(registry=taskflow_registry, name="outer", retries=0)
    def outer(ctx: Run) -> list[str]:
        return ctx.map(part, ["good", "bad"])

    declare(taskflow_broker, taskflow_registry)
    broken.add("bad")
    run = outer.delay()
    go()
    assert len(refusals) == 1
    assert "was told to stop and has not stopped yet" in refusals[0]
    broken.clear()
    run.retry()
    go()
    assert run.get(0) == ["good", "bad"]


# ---- fork --------------------------------------------------------------------------------------
def test_a_fork_goes_on_from_a_step(
    order: Callable[..., WorkflowResult[str]], done: list[str], go: Go
) -> None:
    run = order()
    go()
    assert done == ["reserve", "pay", "ship"]
    fork = run.fork("pay", id="again")
    assert (fork.id, fork.state) == ("again", "waiting")
    go()
    assert fork.get(0) == "o1"
    assert done == ["reserve", "pay", "ship", "pay", "ship"]
    assert [step.id for step in run.tree().steps] == ["reserve", "pay", "ship"]


def test_a_fork_without_a_step_has_all_that_was_done(
    order: Callable[..., WorkflowResult[str]],
    broken: set[str],
    done: list[str],
    go: Go,
) -> None:
    broken.add("ship")
    run = order()
    go()
    broken.clear()
    fork = run.fork()
    go()
    assert (run.state, fork.get(0)) == ("failed", "o1")
    assert done == ["reserve", "pay", "ship", "ship"]


def test_a_fork_has_the_child_runs_too(
    mapped: Callable[..., WorkflowResult[Any]],
    broken: set[str],
    done: list[str],
    go: Go,
) -> None:
    run = mapped(None, ["a", "b"])
    go()
    fork = run.fork("end")
    go()
    assert fork.get(0) == ["a", "b"]
    assert done == ["a", "b", "end", "end"]
    assert [one.state for one in fork.tree().steps[0].runs] == ["done", "done"]
    again = run.fork("map:part")
    go()
    assert again.get(0) == ["a", "b"]
    assert done[-3:] == ["a", "b", "end"]


def test_a_fork_of_a_run_that_lives_has_no_key_and_waits_by_itself(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    act: Callable[[str], str],
    done: list[str],
    go: Go,
) -> None:
    @workflow(registry=taskflow_registry, key="name")
    def order(ctx: Run, name: str) -> Any:
        ctx.sleep(10)
        ctx.options(name="pay").step(act, "pay")
        return ctx.wait("picked")

    declare(taskflow_broker, taskflow_registry)
    run = order.delay("o1")
    go(advance=True)
    fork = run.fork()
    go(advance=True)
    assert (run.state, fork.state) == ("suspended", "suspended")
    assert done == ["pay"]
    assert order.delay("o1").id == run.id
    fork.signal("picked", 7)
    go()
    assert (fork.get(0), run.state) == (7, "suspended")


def test_what_cannot_be_forked_is_told_why(
    taskflow_broker: Broker, order: Callable[..., WorkflowResult[str]], go: Go
) -> None:
    run = order()
    with pytest.raises(WorkflowError, match="has kept no step 'pay'; it has none"):
        run.fork("pay")
    go()
    with pytest.raises(WorkflowError, match="no step 'pat'; it has reserve, pay, ship"):
        run.fork("pat")
    with pytest.raises(RunExists, match="the id of a fork is a new one"):
        run.fork("pay", id=run.id)
    with pytest.raises(LimitExceeded):
        run.fork("pay", id="two\nlines")
    with pytest.raises(NoResult):
        fork_run(taskflow_broker, "nosuch", "pay")


# ---- restart -----------------------------------------------------------------------------------
def test_each_life_has_child_runs_sends_and_keys_of_its_own(
    taskflow_broker: Broker, taskflow_registry: Registry, go: Go
) -> None:
    keys, called, told = [], [], []

    @task(registry=taskflow_registry)
    def child(n: int) -> None:
        called.append(n)

    @task(registry=taskflow_registry)
    def tell(n: int) -> None:
        told.append(n)

    @workflow(registry=taskflow_registry)
    def loop(ctx: Run, n: int) -> int:
        ctx.options(name="pay").step(lambda: keys.append(ctx.key))
        tell.delay(n)
        ctx.call(child, n)
        if n < 2:
            ctx.restart(n + 1)
        return n

    declare(taskflow_broker, taskflow_registry)
    run = loop.options(id="x").delay(0)
    go()
    assert run.get(0) == 2
    assert keys == ["x:pay", "x^1:pay", "x^2:pay"]
    assert (called, told) == ([0, 1, 2], [0, 1, 2])


def test_an_old_life_goes_soon_and_in_parts(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    go: Go,
) -> None:
    monkeypatch.setattr(old_lives, "AT_ONCE", 5)
    seen: list[int] = []

    @task(registry=taskflow_registry, name="child")
    def child(n: int) -> int:
        return n

    @workflow(registry=taskflow_registry, name="inner")
    def inner(ctx: Run, n: int) -> int:
        ctx.step(str, n)
        return n

    @workflow(registry=taskflow_registry)
    def loop(ctx: Run, n: int) -> None:
        ctx.now()
        ctx.map(child, range(12))
        ctx.call(inner, n)
        if not n:
            seen.append(count(taskflow_broker, STEP))
            ctx.restart(n + 1)
        ctx.wait("end")

    declare(taskflow_broker, taskflow_registry)
    run = loop.delay(0)
    go()
    assert state_of(run) == "suspended"
    assert seen == [4]
    assert count(taskflow_broker, STEP) == 5
    assert [step.id for step in run.tree().steps] == ["now", "map:child", "call:inner", "wait:end"]
    assert count(taskflow_broker, RUN) == 1 + 12 + 1
    assert count(taskflow_broker, SWEEP) == 0
    run.signal("end")
    go()
    assert state_of(run) == "done"
    assert count(taskflow_broker, SWEEP) == 1


def test_a_child_that_runs_still_is_let_end_before_it_goes(
    taskflow_broker: Broker, taskflow_registry: Registry, go: Go
) -> None:
    runs: list[int] = []

    @workflow(registry=taskflow_registry, name="part", retries=0)
    def part(ctx: Run, name: str) -> None:
        ctx.step(str)
        if name == "bad":
            raise ValueError(name)
        go()  # meanwhile the other one fails, and the run that waits for both begins anew
        runs.append(count(taskflow_broker, RUN))

    @workflow(registry=taskflow_registry)
    def loop(ctx: Run, n: int) -> None:
        if not n:
            try:
                ctx.map(part, ["good", "bad"])
            except RunFailed:
                ctx.restart(1)
        ctx.wait("end")

    declare(taskflow_broker, taskflow_registry)
    run = loop.delay(0)
    go()
    assert state_of(run) == "suspended"
    assert runs == [3]
    drain(taskflow_broker, taskflow_registry, advance=True)
    assert count(taskflow_broker, RUN) == 1
    assert count(taskflow_broker, STEP) == 1
    assert taskflow_broker.counts("default-dlq").visible == 1  # that which failed


# ---- cancelling --------------------------------------------------------------------------------
@pytest.fixture
def nested(
    taskflow_broker: Broker, taskflow_registry: Registry, done: list[str]
) -> WorkflowResult[Any]:
    """A run that waits for two others, of which one waits for a third, and one fails in 5 s."""

    @task(registry=taskflow_registry, name="leaf")
    def leaf() -> None:
        done.append("leaf")

    @task(registry=taskflow_registry, name="undo")
    def undo(bad: bool) -> None:
        done.append("undo")

    @workflow(registry=taskflow_registry, name="inner", retries=0, on_cancel=undo)
    def inner(ctx: Run, bad: bool) -> None:
        if bad:
            ctx.sleep(5)
            raise ValueError("bad")
        ctx.gather(leaf.s().options(delay=60))

    @workflow(registry=taskflow_registry, name="outer", retries=0)
    def outer(ctx: Run) -> None:
        ctx.map(inner, [False, True])

    declare(taskflow_broker, taskflow_registry)
    run = outer.options(id="o").delay()
    drain(taskflow_broker, taskflow_registry)
    return run


def test_cancelling_a_child_cancels_what_it_has_called(
    taskflow_broker: Broker, nested: WorkflowResult[Any], done: list[str], go: Go
) -> None:
    assert WorkflowResult[Any]("o.inner.0", broker=taskflow_broker).cancel()
    assert WorkflowResult[Any]("o.inner.0.leaf", broker=taskflow_broker).state == "cancelled"
    go()
    assert (nested.state, done) == ("failed", ["undo", "undo"])  # the other one, too


def test_the_failure_of_one_cancels_the_others_with_what_they_have_called(
    taskflow_clock: ManualClock,
    nested: WorkflowResult[Any],
    done: list[str],
    go: Go,
) -> None:
    for seconds in (10, 100):
        taskflow_clock.advance(seconds)
        go()
    assert (nested.state, done) == ("failed", ["undo"])


def test_cancelling_all_cleans_up_after_each_that_had_begun(
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    nested: WorkflowResult[Any],
    done: list[str],
    go: Go,
) -> None:
    assert nested.cancel()
    taskflow_clock.advance(100)
    go()
    assert (nested.state, done) == ("cancelled", ["undo", "undo"])


def test_a_call_that_replaces_a_run_cancels_all_of_it(
    taskflow_broker: Broker, taskflow_registry: Registry, done: list[str], go: Go
) -> None:
    @task(registry=taskflow_registry, name="leaf")
    def leaf() -> None:
        done.append("leaf")

    @task(registry=taskflow_registry, name="undo")
    def undo(name: str) -> None:
        done.append(f"undo {name}")

    @workflow(
        registry=taskflow_registry, name="w", key="name", on_key="replace", on_cancel=undo, keep=60
    )
    def w(ctx: Run, name: str) -> None:
        ctx.gather(leaf.s().options(delay=50))
        ctx.wait("go")

    declare(taskflow_broker, taskflow_registry)
    old = w.options(id="old").delay("k")
    go()
    new = w.options(id="new").delay("k")
    go()
    assert (state_of(old), state_of(new)) == ("cancelled", "suspended")
    assert done == ["undo k"]
    assert WorkflowResult[Any]("old.leaf", broker=taskflow_broker).state == "cancelled"
    go(advance=True)
    assert done == ["undo k", "leaf"]
    assert count(taskflow_broker, RUN) == 2  # the old one is gone, with all that it had called


# ---- ids that users give -----------------------------------------------------------------------
def test_a_child_whose_id_is_taken_fails_the_run(
    taskflow_broker: Broker, taskflow_registry: Registry, go: Go
) -> None:
    @task(registry=taskflow_registry, name="leaf", result="1d")
    def leaf() -> int:
        return 1

    @workflow(registry=taskflow_registry, name="w", retries=0)
    def w(ctx: Run) -> int:
        return ctx.call(leaf)

    declare(taskflow_broker, taskflow_registry)
    other = leaf.options(id="o.leaf").delay()
    run = w.options(id="o").delay()
    go()
    assert (other.get(0), run.state) == (1, "failed")
    assert run.error is not None
    assert run.error.message == "it calls run 'o.leaf', and there is another run of that id"


def test_a_signal_is_of_one_run_whatever_ids_and_names_look_like(
    taskflow_broker: Broker, taskflow_registry: Registry, go: Go
) -> None:
    @workflow(registry=taskflow_registry, name="w")
    def w(ctx: Run) -> Any:
        return ctx.gather((str, 1)), ctx.wait("go")

    declare(taskflow_broker, taskflow_registry)
    one, other = w.options(id="a").delay(), w.options(id="a/b").delay()
    one.signal("b/go", 1)
    go()
    assert (one.tree().signals, other.state) == (["b/go"], "suspended")
