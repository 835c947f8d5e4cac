"""Priorities of calls: said by the task or by the call, and kept whatever becomes of it."""

from collections.abc import Callable

import pytest

from taskflow import Broker, Registry, Retry, chain, every, group, task
from taskflow.errors import ConfigError, LimitExceeded, RegistrationError
from taskflow.message import Priority
from taskflow.tasks.listing import list_runs
from taskflow.tasks.task import Task

Drain = Callable[[], int]
Later = Callable[[float], int]
Noting = Task[[str], None]


@pytest.fixture
def order() -> list[str]:
    """What has run, in order."""
    return []


@pytest.fixture
def note(taskflow_registry: Registry, order: list[str]) -> Noting:
    @task(registry=taskflow_registry, name="note", result="1h")
    def note(what: str) -> None:
        order.append(what)

    return note


def test_the_higher_runs_first(note: Noting, order: list[str], drain: Drain) -> None:
    drain()
    priorities: tuple[Priority, ...] = ("low", "normal", "high")
    for priority in priorities:
        note.options(priority=priority).delay(priority)
    note.delay("none said")
    drain()
    assert order == ["high", "normal", "none said", "low"]


def test_calls_without_a_result_have_priorities_too(
    taskflow_registry: Registry, drain: Drain
) -> None:
    order = []
    bare = task(registry=taskflow_registry, name="bare", priority="low")(
        lambda what: order.append(what)
    )
    drain()
    bare.send_many(["a", "b"])
    bare.options(priority="high").delay("c")
    drain()
    assert order == ["c", "a", "b"]


def test_a_task_may_say_it_for_its_calls(
    taskflow_registry: Registry, note: Noting, order: list[str], drain: Drain
) -> None:
    @task(registry=taskflow_registry, priority="high")
    def urgent() -> None:
        order.append("urgent")

    drain()
    note.delay("usual")
    urgent.delay()
    urgent.options(headers={"a": "b"}).delay()
    urgent.options(priority="low").delay()
    drain()
    assert order == ["urgent", "urgent", "usual", "urgent"]


def test_what_follows_a_task_has_the_priority_of_its_own(
    taskflow_registry: Registry, note: Noting, order: list[str], drain: Drain
) -> None:
    urgent = task(registry=taskflow_registry, name="urgent", priority="high")(order.append)
    first = task(registry=taskflow_registry, name="first", on_success=urgent)(lambda: "urgent")
    drain()
    first.delay()
    note.delay("a")
    note.delay("b")
    drain()
    assert order == ["urgent", "a", "b"]


def test_a_tick_of_a_schedule_has_the_priority_of_its_task(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    drain: Drain,
    later: Later,
) -> None:
    @every("10s")
    @task(registry=taskflow_registry, name="urgent", priority="high", result="1h")
    def urgent() -> None: ...

    drain()
    later(10)
    (row,) = list_runs(taskflow_broker, task="urgent").runs
    assert row.run.priority == "high"


def test_a_retry_and_a_late_call_keep_it(
    taskflow_registry: Registry, note: Noting, order: list[str], drain: Drain, later: Later
) -> None:
    @task(registry=taskflow_registry, retries=1, result="1h", name="flaky")
    def flaky(what: str) -> None:
        order.append(what)
        if order.count(what) == 1:
            raise Retry(after=5)

    drain()
    flaky.options(priority="high").delay("flaky")
    flaky.options(priority="high", delay="1h").delay("late")
    note.options(priority="low", delay="1h").delay("low")
    drain()
    note.delay("usual")
    later(5)
    assert order == ["flaky", "flaky", "usual"]
    later(3600)  # they are sent now, in the order of their times
    assert order[3:] == ["late", "low"]


def test_parts_of_a_plan_have_theirs(note: Noting, order: list[str], drain: Drain) -> None:
    drain()
    chain(note.si("a"), note.si("last").options(priority="low")).delay()
    group(
        [note.si("low").options(priority="low"), note.si("high").options(priority="high")]
    ).delay()
    note.delay("usual")
    drain()
    assert order.index("high") < order.index("a") < order.index("low")
    assert order.index("usual") < order.index("last")


def test_a_priority_that_nobody_knows_is_refused(taskflow_registry: Registry, note: Noting) -> None:
    with pytest.raises(ValueError, match="priority is 9; 'high', 'normal', 'low' are allowed"):
        note.options(priority=9)  # type: ignore[arg-type]
    with pytest.raises(RegistrationError, match="priority is 'top'"):
        task(registry=taskflow_registry, priority="top")(print)  # type: ignore[call-overload]


def test_a_fifo_queue_has_none(taskflow_registry: Registry, drain: Drain) -> None:
    t = task(registry=taskflow_registry, queue="work.fifo", name="t")(lambda: None)
    drain()
    with pytest.raises(LimitExceeded, match="FIFO"):
        t.options(priority="high", group="g").delay()


def test_a_broker_without_them_says_so(
    taskflow_broker: Broker, note: Noting, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    drain()
    without = taskflow_broker.features._replace(priorities=False)
    monkeypatch.setattr(taskflow_broker, "features", without)
    with pytest.raises(ConfigError, match="no priorities: give what is urgent a queue"):
        note.options(priority="high").delay("a")
    with pytest.raises(ConfigError, match="no priorities: give what is urgent a queue"):
        chain(note.si("a"), note.si("b").options(priority="low")).delay()
    note.delay("b")
