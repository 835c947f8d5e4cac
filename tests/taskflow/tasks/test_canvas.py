"""Chains, groups and chords: what runs when, with what, and how it ends."""

from collections.abc import Callable
from typing import Any

import pytest

from taskflow import Broker, Registry, RetryPolicy, Task, chain, chord, group, task
from taskflow.broker.record import RecordQuery
from taskflow.errors import RunCancelled, RunExists, RunFailed
from taskflow.tasks.canvas.group import Errors
from taskflow.tasks.canvas.node import Node
from taskflow.tasks.run import RUN
from taskflow.testing import ManualClock

Drain = Callable[[], int]
Later = Callable[[float], int]


class Tasks:
    """The tasks of a test, and what they were called with."""

    def __init__(self, registry: Registry) -> None:
        self.calls: list[Any] = []
        calls = self.calls

        @task(registry=registry, name="add")
        def add(x: int, y: int = 0) -> int:
            calls.append(("add", x, y))
            return x + y

        @task(registry=registry, name="total")
        def total(values: list[Any]) -> int:
            calls.append(("total", values))
            return sum(value for value in values if value is not None)

        @task(registry=registry, name="fail", retries=0)
        def fail(x: int = 0) -> int:
            calls.append(("fail", x))
            raise ValueError(f"no {x}")

        @task(registry=registry, name="ids", result="1h")
        def same(value: Any) -> Any:
            calls.append(("same", value))
            return value

        @task(registry=registry, name="failed")
        def failed(what: dict[str, Any], note: str = "") -> None:
            calls.append(("failed", what["error"], what["message"], note))

        self.add, self.total, self.fail, self.same, self.failed = add, total, fail, same, failed


@pytest.fixture
def t(taskflow_registry: Registry, drain: Drain) -> Tasks:
    """Some tasks, whose queue is declared."""
    made = Tasks(taskflow_registry)
    drain()
    return made


def test_a_chain_hands_results_on(t: Tasks, drain: Drain) -> None:
    result = chain(t.add.s(1, 2), t.add.s(10), t.add.si(5, 5), t.add.s(1)).delay()
    assert result.state == "suspended"
    assert drain() == 4
    assert t.calls == [("add", 1, 2), ("add", 3, 10), ("add", 5, 5), ("add", 10, 1)]
    assert (result.get(0), result.state) == (11, "done")


def test_a_group_answers_in_its_order(t: Tasks, drain: Drain) -> None:
    result = group(t.add.s(n, n) for n in range(5)).delay()
    assert drain() == 6
    assert result.get(0) == [0, 2, 4, 6, 8]


def test_a_chord_is_a_group_and_what_follows_it(t: Tasks, drain: Drain) -> None:
    ways: list[Node] = [
        chord([t.add.s(1), t.add.s(2)], t.total.s()),
        group(t.add.s(1), t.add.s(2)) | t.total.s(),
        chain(group(t.add.s(1), t.add.s(2)), t.total.s()),
        chain(chain(group([t.add.s(1), t.add.s(2)])), chain(t.total.s())),
    ]
    for node in ways:
        result = node.delay()
        assert drain() == 4
        assert result.get(0) == 3


@pytest.mark.parametrize("size", [0, 1])
def test_groups_of_none_and_of_one(size: int, t: Tasks, drain: Drain) -> None:
    members = [t.add.s(7) for _ in range(size)]
    alone, body = group(members).delay(), chord(members, t.same.s()).delay()
    inside = chain(t.add.s(1), group(members), t.same.s()).delay()
    drain()
    assert alone.get(0) == [7] * size
    assert body.get(0) == [7] * size
    assert inside.get(0) == [8] * size if size else inside.get(0) == []


def test_a_plan_of_nothing(t: Tasks) -> None:
    with pytest.raises(ValueError, match="one part at least"):
        chain()
    with pytest.raises(TypeError, match="is no part of a plan"):
        group(1)  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{}, {"id": "nothing"}])
@pytest.mark.parametrize("errors", ["stop", "collect"])
def test_a_plan_without_a_call_has_ended_when_it_is_stored(
    errors: Errors, options: dict[str, Any], t: Tasks, taskflow_clock: ManualClock
) -> None:
    def ended(value: object) -> object:
        return value if errors == "stop" else {"state": "done", "value": value, "error": None}

    inner = group(chain(group(), group()), errors=errors)
    result = group(group(), inner, errors=errors, limit=1).delay(**options)
    assert result.get(0) == [ended([]), ended([ended([])])]
    assert chain(inner, group()).delay().get(0) == []
    rows = result.broker.list_records(RecordQuery(kind=RUN, parent=result.id)).records
    assert {(one.state, one.count) for one in rows} == {("done", 0)}
    taskflow_clock.advance(86400)
    assert not result.broker.list_records(RecordQuery(kind=RUN)).records


def test_plans_in_plans(t: Tasks, drain: Drain) -> None:
    inner = group(chain(t.add.s(1), t.add.s(1)), group(t.add.s(2), t.add.s(3)) | t.total.s())
    result = chain(t.add.s(10), inner, group(t.same.s(), t.total.s()), t.same.s()).delay()
    drain()
    assert result.get(0) == [[12, 25], 37]


def test_a_chain_of_a_group_of_groups(t: Tasks, drain: Drain) -> None:
    result = group(group(t.add.s(1), t.add.s(2)), group(), chain(t.add.s(1), t.add.s(2))).delay()
    drain()
    assert result.get(0) == [[1, 2], [], 3]


def test_what_fails_ends_its_chain(t: Tasks, taskflow_broker: Broker, drain: Drain) -> None:
    result = chain(t.add.s(1), t.fail.s(), t.add.s(1), t.add.s(2)).delay()
    drain()
    assert [name for name, *_ in t.calls] == ["add", "fail"]
    with pytest.raises(RunFailed, match="ValueError: no 1"):
        result.get(0)
    assert taskflow_broker.counts("default-dlq").visible == 1


def test_the_first_failure_stops_a_group(t: Tasks, drain: Drain) -> None:
    slow = [t.add.s(n).options() for n in range(3)]
    nested = chain(t.add.s(1), t.add.s(2))
    result = chord([t.fail.s(), *slow, nested, group(t.add.s(8))], t.total.s()).delay()
    drain()
    assert ("total", [0, 1, 2]) not in t.calls
    with pytest.raises(RunFailed, match="no 0"):
        result.get(0)


def test_what_has_not_begun_is_cancelled(
    t: Tasks, taskflow_broker: Broker, taskflow_registry: Registry
) -> None:
    from taskflow import Worker

    result = group(t.fail.s(), *(t.add.s(n) for n in range(5)), limit=1).delay()
    worker = Worker(taskflow_broker, registry=taskflow_registry)
    worker.drain()
    assert t.calls == [("fail", 0)]
    states = [one.state or "" for one in taskflow_broker.list_records(_runs(result.id)).records]
    assert sorted(states) == [*["cancelled"] * 5, "failed"]


def _runs(root: str) -> Any:
    from taskflow.broker.record import RecordQuery

    return RecordQuery(kind="run", parent=root, limit=1000)


def test_a_group_may_collect(t: Tasks, drain: Drain) -> None:
    result = chord(group(t.add.s(1), t.fail.s(2), t.add.s(3), errors="collect"), t.same.s()).delay()
    drain()
    first, second, third = result.get(0)
    assert (first["state"], first["value"], first["error"]) == ("done", 1, None)
    assert (second["state"], second["value"]) == ("failed", None)
    assert second["error"]["message"] == "no 2"
    assert third["value"] == 3


@pytest.mark.parametrize(
    ("options", "ends"),
    [
        ({"tolerate": 1}, "done"),
        ({"tolerate": "50%"}, "done"),
        ({"min_success": 1}, "done"),
        ({"tolerate": "10%"}, "failed"),
        ({"min_success": 2}, "failed"),
        ({}, "failed"),
    ],
)
def test_how_many_may_fail(options: dict[str, Any], ends: str, t: Tasks, drain: Drain) -> None:
    result = group(t.add.s(1), t.fail.s(), **options).delay()
    drain()
    assert result.state == ends
    if ends == "done":
        assert result.get(0) == [1, None]


@pytest.mark.parametrize(
    "options",
    [
        {"errors": "ignore"},
        {"tolerate": 3},
        {"tolerate": "5"},
        {"tolerate": "x%"},
        {"tolerate": True},
        {"min_success": 3},
        {"tolerate": 1, "min_success": 1},
        {"errors": "collect", "tolerate": 1},
        {"limit": 0},
    ],
)
def test_options_of_a_group_that_cannot_be(options: dict[str, Any], t: Tasks) -> None:
    with pytest.raises(ValueError, match=r"errors|tolerate|min_success|limit"):
        group(t.add.s(1), t.add.s(2), **options)


def test_a_plan_calls_once_if_it_fails(t: Tasks, drain: Drain) -> None:
    plans: list[tuple[Node, str]] = [
        (chain(t.fail.s(1), t.add.s(1)), "no 1"),
        (group(t.fail.s(2), t.fail.s(2), t.add.s(1)), "no 2"),
        (chord([t.fail.s(3), t.fail.s(3)], t.total.s()), "no 3"),
        (chain(t.add.s(4), group(chain(t.fail.s(), t.add.s(1)), t.add.s(2)), t.total.s()), "no 4"),
    ]
    for node, says in plans:
        t.calls.clear()
        node.delay(on_error=t.failed.s("note"))
        drain()
        told = [call for call in t.calls if call[0] == "failed"]
        assert told == [("failed", "ValueError", says, "note")]
    t.calls.clear()
    t.add.s(1).delay(on_error=t.failed.s())
    drain()
    assert t.calls == [("add", 1, 0)]


def test_only_so_many_run_at_once(t: Tasks, taskflow_broker: Broker, drain: Drain) -> None:
    result = group((t.add.s(n) for n in range(7)), limit=2).delay()
    assert taskflow_broker.counts("default").visible == 2
    later = chain(t.add.s(1), t.add.map(range(7), limit=3)).delay()
    drain()
    assert result.get(0) == list(range(7))
    assert later.get(0) == [1 + n for n in range(7)] or later.state == "done"


def test_map_and_starmap(t: Tasks, drain: Drain) -> None:
    one, two = t.add.map(range(3)).delay(), (t.add.starmap([(1, 2), (3, 4)]) | t.total.s()).delay()
    drain()
    assert (one.get(0), two.get(0)) == ([0, 1, 2], 10)


def test_retries_of_a_member_keep_its_place(taskflow_registry: Registry, later: Later) -> None:
    fails = [True, True, False]
    policy = RetryPolicy(retries=2, backoff=1, jitter=False)

    @task(registry=taskflow_registry, name="flaky", policy=policy)
    def flaky(x: int) -> int:
        if x == 1 and fails.pop(0):
            raise ValueError
        return x

    @task(registry=taskflow_registry, name="body")
    def body(values: list[int]) -> list[int]:
        return values

    later(0)
    result = chord(flaky.map([0, 1, 2]), body.s()).delay()
    later(0)
    later(1)
    later(2)
    assert result.get(0) == [0, 1, 2]


def test_cancelling_a_plan_cancels_all_of_it(
    t: Tasks, taskflow_broker: Broker, drain: Drain
) -> None:
    result = chord([t.add.s(1), chain(t.add.s(2), t.add.s(3))], t.total.s()).delay()
    assert result.cancel()
    drain()
    assert t.calls == []
    with pytest.raises(RunCancelled):
        result.get(0)
    states = {one.state for one in taskflow_broker.list_records(_runs(result.id)).records}
    assert states == {"cancelled"}


def test_a_plan_goes_with_all_its_parts(t: Tasks, taskflow_broker: Broker, later: Later) -> None:
    plan = chord([t.add.s(n) for n in range(10)], t.total.s())
    result = plan.delay(result="1h")
    later(0)
    assert taskflow_broker.count_records("run") == {"done": 12}
    later(3599)
    assert result.get(0) == 45
    later(2)
    later(0)
    assert taskflow_broker.count_records("run") == {}
    assert taskflow_broker.count_records("sweep") == {}


def test_the_id_of_a_plan_is_one_plan(t: Tasks, drain: Drain) -> None:
    plan = chain(t.add.s(1), t.add.s(2))
    first, second = plan.delay(id="p"), plan.delay(id="p")
    assert (first.created, second.created) == (True, False)
    assert drain() == 2
    assert second.get(0) == 3
    with pytest.raises(RunExists, match="not of this plan"):
        chain(t.add.s(1), t.add.s(3)).delay(id="p")
    t.add.options(id="q", result="1h").delay(1)
    with pytest.raises(RunExists):
        plan.delay(id="q")


def test_a_task_may_start_a_plan(taskflow_registry: Registry, t: Tasks, drain: Drain) -> None:
    started: list[Any] = []

    @task(registry=taskflow_registry, name="starter", retries=0)
    def starter(fails: bool) -> None:
        started.append(chord([t.add.s(1), t.add.s(2)], t.total.s()).delay())
        if fails:
            raise ValueError

    starter.delay(True)
    starter.delay(False)
    drain()
    refused, made = started
    assert refused.state == "unknown"
    assert made.get(0) == 3


@pytest.mark.parametrize("options", [{"id": "x"}, {"key": "k"}, {"at": 1}, {"result": "1h"}])
def test_a_part_of_a_plan_has_no_options_of_a_call_alone(options: Any, t: Tasks) -> None:
    with pytest.raises(ValueError, match="a call in a plan has no"):
        t.add.s(1).options(**options)


def test_what_json_cannot_carry_is_refused_when_the_part_is_made(t: Tasks) -> None:
    with pytest.raises(TypeError, match="argument 1"):
        t.add.s(object())
    assert isinstance(t.add, Task)


def test_a_part_may_wait_after_what_is_before_it(t: Tasks, drain: Drain, later: Later) -> None:
    drain()
    plan = chain(
        t.add.s(1, 1),
        t.add.s(10).options(delay=60),
        group([t.add.s(1).options(delay="1m"), t.add.s(2)], limit=2),
    ).delay()
    drain()
    assert drain() == 0
    assert later(59) == 0
    assert later(1) == 3  # it, the group, and the member that waits for nothing
    assert later(59) == 0
    later(1)
    assert plan.get(0) == [13, 14]


def test_a_plan_may_begin_later(t: Tasks, drain: Drain, later: Later) -> None:
    drain()
    plan = chain(t.add.s(1, 1).options(delay=60), t.add.s(10)).delay()
    assert drain() == 0
    later(60)
    assert plan.get(0) == 12


def test_a_part_waits_a_day_at_most(t: Tasks) -> None:
    with pytest.raises(ValueError, match="delay is 86401 s; 86400 s at most in a plan"):
        t.add.s(1).options(delay=86401)
