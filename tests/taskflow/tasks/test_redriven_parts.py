"""Failed parts of plans, whose dead letters are redriven."""

from collections.abc import Callable

import pytest

from taskflow import Broker, Registry, Retry, Run, chain, chord, group, task, workflow
from taskflow.broker.change import Change
from taskflow.errors import RunFailed
from taskflow.tasks.listing import list_runs
from taskflow.tasks.preparing import put_run
from taskflow.tasks.run import load
from taskflow.tasks.task import Task
from taskflow.testing import ManualClock

Drain = Callable[[], int]
Later = Callable[[float], int]
DLQ = "default-dlq"


class Broken:
    """A task that fails until it is mended."""

    def __init__(self, registry: Registry) -> None:
        self.mended = False
        self.begun: list[int] = []

        @task(registry=registry, name="add", retries=0)
        def add(x: int, y: int) -> int:
            self.begun.append(y)
            if y == 0 and not self.mended:
                raise ValueError("no")
            return x + y

        @task(registry=registry, name="tell")
        def tell(what: dict[str, str]) -> None:
            self.told.append(what["message"])

        @task(registry=registry, name="total")
        def total(values: list[int | None]) -> int:
            return sum(value or 0 for value in values)

        self.add: Task[[int, int], int] = add
        self.tell, self.total, self.told = tell, total, list[str]()


@pytest.fixture
def broken(taskflow_registry: Registry, drain: Drain) -> Broken:
    made = Broken(taskflow_registry)
    drain()
    return made


def redrive(broken: Broken, broker: Broker, drain: Drain) -> None:
    broken.mended = True
    assert broker.redrive(DLQ) == 1
    drain()


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_chain_goes_on_from_there(
    failing: int, broken: Broken, taskflow_broker: Broker, drain: Drain, later: Later
) -> None:
    add, steps = broken.add, [1, 2, 3]
    steps[failing] = 0
    plan = chain(add.s(10, steps[0]), add.s(steps[1]), add.s(steps[2]))
    result = plan.delay(on_error=broken.tell.s())
    drain()
    with pytest.raises(RunFailed, match="no"):
        result.get(0)
    redrive(broken, taskflow_broker, drain)
    assert result.get(0) == 10 + sum(steps)
    assert broken.begun == [*steps[: failing + 1], *steps[failing:]]
    assert broken.told == ["no"]
    assert {one.state for one in list_runs(taskflow_broker, task="add").runs} == {"done"}
    later(86400.0 + 1)
    assert taskflow_broker.count_records("run") == {}


def test_it_goes_on_in_its_group_while_that_waits(
    broken: Broken, taskflow_broker: Broker, drain: Drain, later: Later
) -> None:
    """Counted once, or the group would end before the other has, or never."""
    add = broken.add
    late = add.si(1, 1).options(delay=60)
    failing = [chain(add.si(5, 0), add.s(2)), add.si(7, 0)]
    for part, value in zip(failing, (7, 7), strict=True):
        broken.mended = False
        result = chord(group([part, late], errors="stop", tolerate=1), broken.total.s()).delay()
        drain()
        redrive(broken, taskflow_broker, drain)
        assert result.state == "suspended"
        later(61)
        assert result.get(0) == value + 2


@pytest.mark.parametrize("first", [0, 60])
def test_a_workflow_that_waits_for_others_waits_for_it_again(
    first: float,
    broken: Broken,
    taskflow_registry: Registry,
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    drain: Drain,
    later: Later,
) -> None:
    """Whether it ends before or after them; and is not begun again and again meanwhile."""
    looks: list[float] = []
    ready = {0: taskflow_clock.now() + first, 1: taskflow_clock.now() + 30}

    @task(registry=taskflow_registry, name="child", give_up_on=[ValueError])
    def child(number: int) -> int:
        if number == 0 and not broken.mended:
            raise ValueError
        if taskflow_clock.now() < ready[number]:
            raise Retry(after=35)
        return number

    @workflow(registry=taskflow_registry, name="both")
    def both(ctx: Run) -> list[str]:
        looks.append(taskflow_clock.now())
        return [one["state"] for one in ctx.map(child, [0, 1], errors="collect")]

    drain()
    result = both.delay()
    drain()
    redrive(broken, taskflow_broker, drain)
    for _ in range(8):
        later(10)
    assert result.get(0) == ["done", "done"]
    assert len(looks) == 2


def test_what_has_ended_without_it_is_left_as_it_is(
    broken: Broken, taskflow_broker: Broker, drain: Drain
) -> None:
    add = broken.add
    result = chord([add.si(7, 0), add.si(1, 1)], broken.total.s()).delay()
    drain()
    assert result.state == "failed"
    redrive(broken, taskflow_broker, drain)
    assert (result.state, broken.begun.count(0)) == ("failed", 2)
    assert taskflow_broker.peek(DLQ) == []


@pytest.mark.parametrize("alone", [False, True])
def test_nothing_of_a_plan_that_was_cancelled_goes_on(
    alone: bool, broken: Broken, taskflow_broker: Broker, drain: Drain
) -> None:
    add = broken.add
    part = add.si(7, 0) if alone else chain(add.si(7, 0), add.s(1))
    result = group([part, add.si(1, 1).options(delay=60)], tolerate=1).delay()
    drain()
    assert result.cancel()
    redrive(broken, taskflow_broker, drain)
    assert (result.state, broken.begun) == ("cancelled", [0])
    assert taskflow_broker.peek(DLQ) == []


def test_it_begins_nobody_again_whom_its_failure_has_begun(
    broken: Broken, taskflow_broker: Broker, drain: Drain, later: Later
) -> None:
    """Least of all one that has failed, too, and lies in the dead letters still."""
    add = broken.add
    parts = [add.si(1, 0), add.si(2, 0), add.si(3, 3).options(delay=60)]
    result = group(parts, limit=1, tolerate=2).delay()
    drain()
    letters = sorted(one.id for one in taskflow_broker.peek(DLQ))
    broken.mended = True
    assert taskflow_broker.redrive(DLQ, letters[:1]) == 1
    drain()
    assert broken.begun == [0, 0, 0]
    assert [one.id for one in taskflow_broker.peek(DLQ)] == letters[1:]
    later(61)
    assert result.get(0) == [1, None, 6]


class Pair:
    """A workflow that waits for two children, which fail until they are mended."""

    def __init__(self, registry: Registry) -> None:
        self.looks = 0
        self.bad = {0, 1}
        self.meanwhile: Callable[[int], object] = lambda number: None

        @task(registry=registry, name="child", queue="children", give_up_on=[ValueError])
        def child(number: int) -> int:
            self.meanwhile(number)
            if number in self.bad:
                raise ValueError
            return number

        @workflow(registry=registry, name="both", retries=0)
        def both(ctx: Run) -> list[int]:
            self.looks += 1
            return ctx.map(child, [0, 1])

        self.both = both


@pytest.fixture
def pair(taskflow_registry: Registry, drain: Drain) -> Pair:
    made = Pair(taskflow_registry)
    drain()
    return made


def test_a_workflow_that_failed_waits_for_it_when_both_are_redriven(
    pair: Pair, taskflow_broker: Broker, drain: Drain, later: Later
) -> None:
    """Once, and not again and again until it has ended."""
    pair.bad = {1}
    result = pair.both.delay()
    drain()
    assert (result.state, pair.looks) == ("failed", 2)

    def wait(number: int) -> None:
        pair.meanwhile = lambda number: None
        raise Retry(after=35)

    pair.bad, pair.meanwhile = set(), wait
    assert taskflow_broker.redrive("children-dlq") == 1
    drain()
    assert taskflow_broker.redrive(DLQ) == 1
    drain()
    assert (result.state, pair.looks) == ("suspended", 3)
    later(36)
    assert (result.get(0), pair.looks) == ([0, 1], 4)


def test_a_workflow_is_retried_after_a_child_that_was_redriven(
    pair: Pair, taskflow_broker: Broker, drain: Drain
) -> None:
    pair.bad = {1}
    result = pair.both.delay()
    drain()
    assert taskflow_broker.redrive("children-dlq") == 1
    drain()
    pair.bad = set()
    result.retry()
    drain()
    assert result.get(0) == [0, 1]


def test_a_workflow_that_failed_is_not_begun_by_what_wakes_it_once_more(
    pair: Pair, taskflow_broker: Broker, drain: Drain
) -> None:
    """The last child ends when the workflow has failed with the other, and lies there."""

    def fail_the_other(number: int) -> None:
        if number == 0:
            pair.meanwhile = lambda number: None
            row = load(taskflow_broker, [f"{result.id}.child.0"])[f"{result.id}.child.0"]
            put = put_run(row.id, row.run, "running", row.version)
            taskflow_broker.apply([Change(records=[put])])
            drain()
            assert result.state == "failed"

    pair.bad, pair.meanwhile = {1}, fail_the_other
    result = pair.both.delay()
    drain()
    assert (result.state, pair.looks) == ("failed", 2)
    assert len(taskflow_broker.peek(DLQ)) == 1
