"""Unique calls by argument, debounce and throttle."""

from collections.abc import Callable, Collection
from typing import Any

import pytest

from taskflow import Broker, Registry, Result, task
from taskflow.broker.change import Change
from taskflow.errors import KeyTaken, RegistrationError
from taskflow.tasks import submitting
from taskflow.tasks.preparing import put_run
from taskflow.tasks.run import Row, load
from taskflow.tasks.task import Task
from taskflow.testing import ManualClock

Drain = Callable[[], int]
Later = Callable[[float], int]
Runs = list[tuple[object, ...]]


@pytest.fixture
def runs() -> Runs:
    """With what it has run."""
    return []


def test_a_key_may_be_that_of_arguments(
    taskflow_registry: Registry, runs: Runs, drain: Drain
) -> None:
    @task(registry=taskflow_registry, key="customer")
    def sync(customer: str, why: str = "") -> None:
        runs.append((customer, why))

    drain()
    first, second = sync.delay("a", "first"), sync.delay(customer="a", why="second")
    assert (second.id, second.created) == (first.id, False)
    assert sync.delay("b").created
    assert [one.created for one in sync.send_many(["a", "c", ("d", "x"), {"customer": "d"}])] == [
        *(False, True, True, False)
    ]
    drain()
    assert sorted(runs) == [("a", "first"), ("b", ""), ("c", ""), ("d", "x")]
    assert sync.delay("a").created


def test_a_key_of_several_arguments_and_what_becomes_of_the_second(
    taskflow_registry: Registry, runs: Runs, drain: Drain
) -> None:
    @task(registry=taskflow_registry, key=["a", "b"], on_key="reject")
    def t(a: int, b: int, c: int) -> None: ...

    drain()
    t.delay(1, 2, 3)
    t.delay(1, 3, 3)
    with pytest.raises(KeyTaken):
        t.delay(1, 2, 4)
    assert not t.options(on_key="keep").delay(1, 2, 4).created
    assert t.options(key="another").delay(1, 2, 4).created


@pytest.fixture
def index(taskflow_registry: Registry, runs: Runs) -> Task[[str, int], None]:
    @task(registry=taskflow_registry, key="doc", debounce="5s", max_wait="12s", name="index")
    def index(doc: str, version: int) -> None:
        runs.append((doc, version))

    return index


def test_debounce_runs_the_last_of_many_calls(
    index: Task[[str, int], None], runs: Runs, drain: Drain, later: Later
) -> None:
    drain()
    calls = []
    for version in range(3):
        calls.append(index.delay("a", version))
        later(3)
    index.delay("b", 0)
    assert [call.state for call in calls] == ["cancelled", "cancelled", "scheduled"]
    assert runs == []
    later(2)
    assert runs == [("a", 2)]
    later(3)
    assert runs == [("a", 2), ("b", 0)]
    assert calls[-1].state == "done"


def test_debounce_waits_no_longer_than_it_may(
    index: Task[[str, int], None],
    taskflow_clock: ManualClock,
    runs: Runs,
    drain: Drain,
    later: Later,
) -> None:
    drain()
    for version in range(10):  # each second one, for ten seconds and then some
        index.delay("a", version)
        later(1.5)
    assert runs == [("a", 7)]  # made at 10.5 s, due after 12
    later(5)
    assert runs == [("a", 7), ("a", 9)]


def test_a_call_while_the_one_before_runs_waits_for_its_own_time(
    taskflow_registry: Registry, runs: Runs, drain: Drain, later: Later
) -> None:
    @task(registry=taskflow_registry, debounce="5s", result="1h")
    def t(what: str) -> None:
        if what == "outer":
            inner.append(t.delay("inner"))
        runs.append((what,))

    inner: list[Result[None]] = []
    drain()
    first = t.delay("outer")
    later(5)
    assert (first.state, inner[0].state) == ("done", "scheduled")
    later(5)
    assert runs == [("outer",), ("inner",)]


def test_debounce_without_a_key_is_of_the_whole_task(
    taskflow_registry: Registry, runs: Runs, drain: Drain, later: Later
) -> None:
    t = task(registry=taskflow_registry, name="t")(lambda x: runs.append((x,)))
    drain()
    for x in range(4):
        t.options(debounce=2).delay(x)
    later(2)
    assert runs == [(3,)]


def test_throttle_runs_the_first_and_folds_the_others_into_it(
    taskflow_registry: Registry, runs: Runs, drain: Drain, later: Later
) -> None:
    @task(registry=taskflow_registry, key="user", throttle="10m", name="remind")
    def remind(user: str, n: int) -> None:
        runs.append((user, n))

    drain()
    first = remind.delay("a", 1)
    drain()
    assert runs == [("a", 1)]
    second = remind.delay("a", 2)
    assert (second.id, second.created, second.state) == (first.id, False, "done")
    assert remind.delay("b", 1).created
    later(599)
    assert not remind.delay("a", 3).created
    later(1)
    assert remind.delay("a", 4).created
    drain()
    assert runs == [("a", 1), ("b", 1), ("a", 4)]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"debounce": 5, "throttle": 5}, "debounce or throttle, not both"),
        ({"debounce": 5, "max_wait": 4}, "max_wait is 4 s; debounce, 5 s, or more"),
        ({"max_wait": 4}, "max_wait is the most that debounce waits"),
        ({"debounce": 5, "delay": 3}, "debounce or delay, not both"),
        ({"debounce": 5, "on_key": "replace"}, "debounce or on_key, not both"),
        ({"throttle": 5, "id": "x"}, "throttle or id, not both"),
        ({"throttle": "soon"}, "throttle is 'soon'"),
    ],
)
def test_what_does_not_go_together_is_refused(
    taskflow_registry: Registry, options: dict[str, object], why: str
) -> None:
    t = task(registry=taskflow_registry, name="t")(lambda: None)
    with pytest.raises(ValueError, match=why):
        t.options(**options)  # type: ignore[arg-type]


def test_a_key_that_no_argument_has_is_refused_at_import(taskflow_registry: Registry) -> None:
    with pytest.raises(RegistrationError, match=r"key= of .* goes by 'y'; its arguments are 'x'"):
        task(registry=taskflow_registry, key="y")(lambda x: None)


@pytest.mark.parametrize("options", [{"on_key": "replace", "key": "k"}, {"debounce": 5}])
def test_who_is_replaced_may_change_meanwhile(
    options: dict[str, Any],
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    drain: Drain,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    t = task(registry=taskflow_registry, name="t")(lambda x: None)
    drain()
    first = t.options(**options).delay(1)
    looks = []

    def load_and_change(broker: Broker, ids: Collection[str]) -> dict[str, Row]:
        found = load(broker, ids)
        looks.append(len(found))
        if len(looks) == 1:  # somebody else writes it between the look and the change
            row = found[first.id]
            put = put_run(row.id, row.run, "waiting", row.version, due_at=row.due_at)
            broker.apply([Change(records=[put])])[0].or_raise()
        return found

    monkeypatch.setattr(submitting, "load", load_and_change)
    second = t.options(**options).delay(2)
    assert looks == [1, 1]
    monkeypatch.undo()
    assert (first.state, second.created) == ("cancelled", True)
