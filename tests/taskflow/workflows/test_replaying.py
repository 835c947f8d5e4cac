"""Runs are tried against other code than that which made them, and nothing comes of it."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from taskflow import AsyncRun, Broker, Registry, Run, Worker, publish, task, workflow
from taskflow.broker.own_sql import Sql
from taskflow.broker.record import RecordQuery
from taskflow.errors import StepFailed
from taskflow.testing import ManualClock, drain
from taskflow.workflows.replaying import replay_runs

Code = Callable[..., Any]
Replayed = Callable[..., list[str]]


def reserve(item: str) -> str:
    return item.upper()


def pay(cents: int) -> int:
    return cents


def ship(item: str) -> str:
    return item


def refuse() -> None:
    raise ValueError("no")


@pytest.fixture
def child(taskflow_registry: Registry) -> Any:
    """A task to call."""

    @task(registry=taskflow_registry, name="child", retries=0)
    def child(n: int) -> int:
        if n < 0:
            raise ValueError("below 0")
        return n

    return child


@pytest.fixture
def replayed(
    taskflow_broker: Broker, taskflow_registry: Registry, taskflow_clock: ManualClock
) -> Replayed:
    """Let one run go as far as it goes by some code, then replay it with other code (or the same);
    answers what has changed, and sees to it that nothing has happened."""

    def replayed(
        old: Code, new: Code | None = None, *, signal: str | None = None, version: int = 1
    ) -> list[str]:
        broker, after = taskflow_broker, Registry()
        made = workflow(registry=taskflow_registry, name="w", retries=0, version=version)(old)
        workflow(registry=after, name="w", retries=0)(new or old)
        Worker(broker, registry=taskflow_registry)
        run = made.delay("a")
        drain(broker, taskflow_registry, raise_errors=False)
        taskflow_clock.advance(100)
        drain(broker, taskflow_registry, raise_errors=False)
        if signal is not None:
            run.signal(signal, 1)
        seen = everything(broker)
        (found,) = replay_runs(broker, after)
        assert everything(broker) == seen
        assert (found.run, found.workflow, found.state) == (run.id, "w", run.state)
        return found.drift

    return replayed


def everything(broker: Broker) -> list[Any]:
    """All that a broker holds."""
    kinds = ("run", "step", "signal", "sweep")
    return [
        *(broker.list_records(RecordQuery(kind=kind)) for kind in kinds),
        *(broker.peek(queue, 100) for queue in broker.queues()),
    ]


# ---- code that has not changed -----------------------------------------------------------------
def test_the_same_code_has_no_drift(replayed: Replayed, child: Any) -> None:
    ran: list[str] = []

    def w(ctx: Run, item: str) -> Any:
        ctx.step(ran.append, item)
        ctx.options(key="k").step(reserve, item)
        seen = [ctx.now(), ctx.uuid(), ctx.random(), ctx.patched("new")]
        ctx.gather((pay, 5), child.s(2))
        ctx.sleep(60)
        child.delay(7)
        child.options(key="only").delay(7)
        ctx.progress(1)
        if not seen:
            return None
        return [ctx.call(child, 1), ctx.map(child, [1, 2])]

    assert replayed(w) == []
    assert ran == ["a"]


@pytest.mark.parametrize("signal", [None, "never"])
def test_neither_has_that_of_a_coroutine(
    signal: str | None, replayed: Replayed, child: Any
) -> None:
    async def w(ctx: AsyncRun, item: str) -> Any:
        await ctx.step(reserve, item)
        await ctx.gather(ctx.step(pay, 5), child.s(2))
        return await ctx.wait("never")

    assert replayed(w, signal=signal) == []


@pytest.mark.parametrize("signal", [None, "go"])
def test_a_run_that_waits_is_tried_up_to_there(replayed: Replayed, signal: str | None) -> None:
    ran: list[Any] = []

    def w(ctx: Run, item: str) -> None:
        ctx.step(reserve, item)
        try:
            ran.append(ctx.wait("go"))
        finally:
            ctx.step(ship, item)

    assert replayed(w, signal=signal) == []
    assert ran == []


def test_a_run_that_failed_is_tried_up_to_there(replayed: Replayed, child: Any) -> None:
    def w(ctx: Run, item: str) -> None:
        try:
            ctx.step(refuse)
        except StepFailed:
            ctx.step(reserve, item)
        ctx.map(child, [1, -1])

    assert replayed(w) == []


def test_a_run_that_nobody_has_begun(taskflow_broker: Broker, taskflow_registry: Registry) -> None:
    @workflow(registry=taskflow_registry)
    def w(ctx: Run, item: str) -> None:
        publish("nosuch.topic", 1)
        ctx.restart(item)

    Worker(taskflow_broker, registry=taskflow_registry)
    taskflow_broker.create_topic("nosuch.topic")
    w.delay("a")
    assert [one.drift for one in replay_runs(taskflow_broker, taskflow_registry)] == [[]]


def test_transactions_are_not_begun(replayed: Replayed) -> None:
    ran: list[int] = []

    def count(sql: Sql, item: str) -> int:
        ran.append(1)
        return len(sql.execute("SELECT ?", (item,)))

    def w(ctx: Run, item: str) -> int:
        return ctx.transaction(count, item)

    def longer(ctx: Run, item: str) -> int:
        return w(ctx, item) + ctx.transaction(count, item)

    assert replayed(w, longer) == []
    assert ran == [1]


# ---- code that has -----------------------------------------------------------------------------
def first(ctx: Run, item: str) -> None:
    ctx.step(reserve, item)
    ctx.step(pay, 5)
    ctx.step(ship, item)


def moved(ctx: Run, item: str) -> None:
    ctx.step(pay, 5)
    ctx.step(reserve, item)
    ctx.step(ship, item)


def renamed(ctx: Run, item: str) -> None:
    ctx.step(reserve, item)
    ctx.options(name="charge").step(pay, 5)
    ctx.step(ship, item)


def removed(ctx: Run, item: str) -> None:
    ctx.step(reserve, item)
    ctx.step(ship, item)


def shortened(ctx: Run, item: str) -> None:
    ctx.step(reserve, item)
    ctx.step(pay, 5)


def with_other_arguments(ctx: Run, item: str) -> None:
    ctx.step(reserve, item)
    ctx.step(pay, 6)
    ctx.step(ship, item)


def with_another_function(ctx: Run, item: str) -> None:
    ctx.step(reserve, item)
    ctx.options(name="pay").step(int, 5)
    ctx.step(ship, item)


def that_raises(ctx: Run, item: str) -> None:
    ctx.step(reserve, item)
    raise LookupError(item)


def with_other_parameters(ctx: Run, item: int) -> None: ...


def lengthened(ctx: Run, item: str) -> None:
    first(ctx, item)
    ctx.step(refuse)


@pytest.mark.parametrize(
    ("new", "drift"),
    [
        (moved, ["pay: it was step 2 and is step 1", "reserve: it was step 1 and is step 2"]),
        (
            renamed,
            [
                "charge: it is a step now, and nothing is kept of it, though of pay, ship, to "
                "which the code has not come: renamed, moved, or new"
            ],
        ),
        (
            removed,
            ["ship: it was step 3 and is step 2", "pay: it was a step, and is none any more"],
        ),
        (shortened, ["ship: it was a step, and is none any more"]),
        (with_other_arguments, ["pay: it was called with other arguments"]),
        (with_another_function, [f"pay: it was {__name__}.pay and is builtins.int"]),
        (that_raises, ["it raises LookupError: a"]),
        (
            with_other_parameters,
            ["argument 'item': the payload does not fit: Expected `int`, got `str`"],
        ),
        (lengthened, []),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_what_has_changed_is_told(new: Code, drift: list[str], replayed: Replayed) -> None:
    assert replayed(first, new) == drift


def test_what_is_patched_is_no_drift(replayed: Replayed) -> None:
    def patched(ctx: Run, item: str) -> None:
        ctx.step(reserve, item)
        if ctx.patched("check first"):
            ctx.step(refuse)
        ctx.step(pay, 5)
        ctx.step(ship, item)

    assert replayed(first, patched) == []


def test_code_that_is_older_than_the_run(replayed: Replayed) -> None:
    assert replayed(first, version=3) == ["version 3 began it, and the code is version 1"]


def test_code_that_is_not_there(taskflow_broker: Broker, taskflow_registry: Registry) -> None:
    w = workflow(registry=taskflow_registry, name="w")(first)
    other = workflow(registry=taskflow_registry, name="other")(first)
    Worker(taskflow_broker, registry=taskflow_registry)
    for _ in range(3):
        w.delay("a")
    other.delay("b")
    (found,) = replay_runs(taskflow_broker, Registry(), workflow="other")
    assert found.drift == ["no module that is loaded has a workflow other on queue 'default'"]
    assert len(list(replay_runs(taskflow_broker, taskflow_registry, limit=2))) == 2
    assert len(list(replay_runs(taskflow_broker, taskflow_registry, workflow="w"))) == 3


def test_code_that_catches_everything_has_no_effect_either(replayed: Replayed) -> None:
    after: list[Any] = []

    def w(ctx: Run, item: str) -> None:
        ctx.wait("go")

    def careless(ctx: Run, item: str) -> None:
        with suppress(BaseException):
            ctx.wait("go")
        ctx.step(after.append, 2)

    assert replayed(w, careless) == []
    assert after == []
