"""Groups of iterators: their members are made and stored some at a time, and begin together."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskflow import Broker, Registry, Result, chain, chord, group, send_task, task
from taskflow.broker.record import Record, RecordQuery
from taskflow.errors import LimitExceeded, RunFailed
from taskflow.tasks.canvas import early_rows
from taskflow.tasks.canvas import group as groups
from taskflow.tasks.canvas.group import Errors, Group
from taskflow.tasks.canvas.node import Node
from taskflow.tasks.canvas.sweeping import sweep
from taskflow.tasks.lost import end_if_lost
from taskflow.tasks.run import FINAL, RUN, Row, row_of
from taskflow.tasks.task import Task
from taskflow.testing import ManualClock

Drain = Callable[[], int]
HELD, AT_ONCE = 4, 3


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is long here is long with five members."""
    monkeypatch.setattr(groups, "HELD", HELD)
    monkeypatch.setattr(early_rows, "AT_ONCE", AT_ONCE)


@pytest.fixture
def add(taskflow_registry: Registry, drain: Drain) -> Task[..., int]:
    @task(registry=taskflow_registry, name="add", retries=0)
    def add(x: int, y: int = 0) -> int:
        if x < 0:
            raise ValueError(f"no {x}")
        return x + y

    @task(registry=taskflow_registry, name="outer", result="1h")
    def outer(count: int) -> None:
        group(add.s(n) for n in range(count)).delay()

    drain()
    return add


def every(broker: Broker) -> list[Record]:
    return list(broker.list_records(RecordQuery(kind=RUN, limit=1000)).records)


def stored(broker: Broker) -> int:
    return len(every(broker))


@pytest.mark.parametrize("limit", [None, 1, 3, 100])
@pytest.mark.parametrize("size", [3, 4, 5, 6, 9, 23])
def test_the_same_comes_out_as_of_a_list(
    size: int, limit: int | None, add: Task[..., int], drain: Drain
) -> None:
    def nodes() -> Iterator[Node]:
        for n in range(size):
            kinds = (add.s(n), chain(add.s(n), add.s(1)), group([add.s(n), add.s(n, 1)]))
            yield kinds[n % 3]

    expected = [(n, n + 1, [n, n + 1])[n % 3] for n in range(size)]
    for made in (group(nodes(), limit=limit), group(list(nodes()), limit=limit)):
        result = made.delay()
        drain()
        assert result.get(0) == expected
    total = add.si(1)
    after = chain(add.s(1), group((add.s(n) for n in range(size)), limit=limit), total).delay()
    before = chord((add.s(n) for n in range(size)), total).delay()
    drain()
    assert (after.get(0), before.get(0)) == (1, 1)


def test_a_group_in_a_chain_takes_what_is_before_it(add: Task[..., int], drain: Drain) -> None:
    result = chain(add.s(10), group(add.s(n) for n in range(7))).delay()
    drain()
    assert result.get(0) == [10 + n for n in range(7)]


def test_no_more_is_held_than_a_few(
    add: Task[..., int], drain: Drain, taskflow_broker: Broker
) -> None:
    ahead: list[int] = []

    def nodes() -> Iterator[Node]:
        for n in range(100):
            ahead.append(n - stored(taskflow_broker))
            yield add.s(n)

    result = group(nodes()).delay()
    assert max(ahead) <= 2 * HELD + AT_ONCE
    assert stored(taskflow_broker) == 101
    drain()
    assert result.get(0) == list(range(100))


def test_so_many_of_it_run_at_once(add: Task[..., int], taskflow_broker: Broker) -> None:
    group(add.s(n) for n in range(20)).delay()
    assert taskflow_broker.counts("default").visible == HELD


def test_policies_know_the_size_in_the_end(add: Task[..., int], drain: Drain) -> None:
    def nodes(*bad: int) -> Iterator[Node]:
        return (add.s(-1 if n in bad else n) for n in range(10))

    tolerant = group(nodes(2, 8), tolerate="20%").delay()
    strict = group(nodes(2, 8), min_success=9).delay()
    stops = group(nodes(1)).delay()
    collects = group(nodes(9), errors="collect").delay()
    drain()
    assert tolerant.get(0) == [0, 1, None, 3, 4, 5, 6, 7, None, 9]
    assert [one["state"] for one in collects.get(0)] == ["done"] * 9 + ["failed"]
    for one in (strict, stops):
        with pytest.raises(RunFailed, match="no -1"):
            one.get(0)
    with pytest.raises(ValueError, match="min_success is 11"):
        group(nodes(), min_success=11).delay()


def test_what_breaks_off_has_not_begun_and_goes(
    add: Task[..., int], drain: Drain, taskflow_broker: Broker
) -> None:
    def nodes() -> Iterator[Any]:
        yield from (add.s(n) for n in range(15))
        assert stored(taskflow_broker) > 0
        yield "no node"

    with pytest.raises(TypeError, match="'no node' is no part of a plan"):
        group(nodes()).delay()
    assert drain() == 0
    sweep(taskflow_broker)
    assert stored(taskflow_broker) == 0


def test_what_a_killed_sender_left_goes_within_the_hour(
    add: Task[..., int],
    drain: Drain,
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nodes() -> Iterator[Node]:
        yield from (add.s(n) for n in range(15))
        monkeypatch.setattr(taskflow_broker, "apply", lambda *_: 1 / 0)
        raise KeyboardInterrupt

    with pytest.raises(ZeroDivisionError):
        group(nodes()).delay()
    monkeypatch.undo()
    assert drain() == 0
    assert stored(taskflow_broker) > 0
    sweep(taskflow_broker)
    assert stored(taskflow_broker) > 0
    taskflow_clock.advance(3600)
    sweep(taskflow_broker)
    assert stored(taskflow_broker) == 0


@pytest.mark.parametrize("end", ["cancel", "forget", "lost"])
@pytest.mark.parametrize("errors", ["stop", "collect"])
def test_nobody_ends_what_has_not_begun(
    errors: Errors, end: str, add: Task[..., int], drain: Drain, taskflow_broker: Broker
) -> None:
    def early() -> list[Row]:
        rows = map(row_of, every(taskflow_broker))
        return [row for row in rows if row.state not in FINAL]

    def try_to_end() -> None:
        rows = early()
        assert {row.state for row in rows} == {"waiting", "suspended"}
        for row in rows:
            if end == "lost":
                assert end_if_lost(taskflow_broker, row) == row
            elif end == "forget":
                Result(row.id, broker=taskflow_broker).forget()
            else:
                assert not Result(row.id, broker=taskflow_broker).cancel()
        assert early() == rows

    def nodes() -> Iterator[Node]:
        yield from (add.s(n) for n in range(15))
        try_to_end()

    inside = group([group(nodes(), errors=errors), add.s(1)]).delay()  # its root is there early
    drain()
    after = chain(add.s(0), group(nodes(), errors=errors)).delay()
    drain()
    begun = group(add.s(n) for n in range(15)).delay()
    assert begun.cancel()
    assert [inside.state, after.state, begun.state] == ["done", "done", "cancelled"]


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("errors", ["stop", "collect"])
@pytest.mark.parametrize("limit", [None, 1])
def test_the_first_call_may_come_late(
    limit: int | None, errors: Errors, named: bool, add: Task[..., int], drain: Drain
) -> None:
    """As long as no call is known, no queue is."""

    def late(listed: bool, *last: Node) -> Group:
        many = [*(group(chain(group(), group())) for _ in range(HELD)), *last]
        return group(many if listed else iter(many), errors=errors, limit=limit)

    def values(listed: bool) -> list[object]:
        plans: list[Node] = [
            late(listed, add.s(7)),
            late(listed, late(listed, add.s(7))),
            late(listed, late(listed, group()), group()),
            chain(late(listed, add.s(7))),
            chord(late(listed, group(), add.s(7)), add.si(1)),
            group(late(listed, group(), add.s(7)), late(listed, group())),
        ]
        ids = [f"{listed}-{n}" for n in range(len(plans))]
        results = [
            plan.delay(id=id) if named else plan.delay()
            for plan, id in zip(plans, ids, strict=True)
        ]
        drain()
        return [result.get(0) for result in results]

    of_lists = values(True)
    assert values(False) == of_lists
    if errors == "stop":
        assert of_lists[0] == [[[]]] * HELD + [7]


def test_an_iterator_that_raises_before_the_first_call_is_not_half_a_group(
    add: Task[..., int], taskflow_broker: Broker
) -> None:
    def nodes() -> Iterator[Node]:
        yield from (group() for _ in range(HELD + 1))
        raise KeyError("gone")

    broken = group(nodes())
    for error in (KeyError, RuntimeError):
        with pytest.raises(error):
            broken.delay()
    assert stored(taskflow_broker) == 0


def test_members_that_take_an_hour_to_make_are_refused(
    add: Task[..., int], drain: Drain, taskflow_broker: Broker, taskflow_clock: ManualClock
) -> None:
    def nodes() -> Iterator[Node]:
        for n in range(15):
            if n == 12:
                taskflow_clock.advance(3601)
            yield add.s(n)

    with pytest.raises(LimitExceeded, match="took over 30 minutes to make"):
        group(nodes()).delay()
    assert drain() == 0
    sweep(taskflow_broker)
    assert stored(taskflow_broker) == 0


def test_a_long_one_is_stored_once_unless_it_has_an_id(add: Task[..., int], drain: Drain) -> None:
    def long() -> Node:
        return group(add.s(n) for n in range(9))

    once = long()
    assert repr(once) == "<group of 4 and more>"
    first = once.delay()
    with pytest.raises(RuntimeError, match="stored already"):
        once.delay()

    named = long()
    second = named.delay(id="here")
    assert repr(named) == "<group of 9>"
    assert (second.created, named.delay(id="here").created) == (True, False)
    assert long().delay(id="here").created is False
    drain()
    assert first.get(0) == second.get(0) == list(range(9))


def test_within_a_task_it_is_held_until_that_has_succeeded(
    add: Task[..., int], drain: Drain, taskflow_broker: Broker, taskflow_registry: Registry
) -> None:
    result = send_task("outer", [9], result="1h")
    drain()
    assert result.state == "done"
    assert stored(taskflow_broker) == 11
