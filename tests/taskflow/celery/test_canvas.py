"""Calling, signatures, and the canvas: chains, groups, chords, links."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from taskflow import Broker, Registry
from taskflow.celery import Celery, GroupResult, chain, chord, group, signature, states
from taskflow.clock import to_datetime
from taskflow.errors import (
    ConfigError,
    NotPorted,
    QueueNotFound,
    ResultTimeout,
    RunCancelled,
    WouldDeadlock,
)
from taskflow.testing import ManualClock

Drain = Callable[[], int]
Later = Callable[[float], int]


class Tasks:
    """The tasks of a small project, and what they were called with."""

    def __init__(self, app: Celery) -> None:
        self.calls: list[Any] = []
        calls = self.calls

        @app.task(name="proj.add")
        def add(x: int, y: int) -> int:
            return x + y

        @app.task(name="proj.mul")
        def mul(x: int, y: int) -> int:
            return x * y

        @app.task(name="proj.total")
        def total(numbers: list[int]) -> int:
            return sum(numbers)

        @app.task(name="proj.fail")
        def fail(*args: Any) -> None:
            raise ValueError(f"no {args}")

        @app.task(name="proj.note")
        def note(*args: Any) -> None:
            calls.append(args)

        self.add, self.mul, self.total, self.fail, self.note = add, mul, total, fail, note


@pytest.fixture
def t(app: Celery, drain: Drain) -> Tasks:
    """Some tasks, whose queue is declared."""
    made = Tasks(app)
    drain()
    return made


# ---- calling ------------------------------------------------------------------------------------
def test_countdown_eta_and_expires(
    t: Tasks, drain: Drain, later: Later, taskflow_clock: ManualClock
) -> None:
    soon = t.add.apply_async((1, 1), countdown=3)
    at = to_datetime(taskflow_clock.now() + 86400)
    tomorrow = t.add.apply_async((2, 2), eta=at)
    naive = t.add.apply_async((2, 3), eta=at.replace(tzinfo=None))
    stale = t.add.apply_async((3, 3), countdown=20, expires=10)
    assert drain() == 0
    assert later(3) == 1
    assert soon.get() == 2
    later(30)
    assert stale.state == states.REVOKED
    with pytest.raises(RunCancelled, match="not begun in time"):
        stale.get()
    with pytest.raises(ResultTimeout):
        tomorrow.get(timeout=0)
    later(86400)
    later(1)
    assert (tomorrow.get(), naive.get()) == (4, 5)


def test_an_id_of_ones_own_and_a_revoked_call(t: Tasks, app: Celery, drain: Drain) -> None:
    kept = t.add.apply_async((1, 2), task_id="mine", retry=False, serializer="json")
    gone, other = t.add.delay(1, 2), t.add.delay(1, 2)
    gone.revoke()
    app.control.revoke([other.id])
    drain()
    assert (kept.id, kept.get()) == ("mine", 3)
    for one in (gone, other):
        assert (one.state, one.ready(), one.successful()) == (states.REVOKED, True, False)
        with pytest.raises(RunCancelled):
            one.get()
    assert isinstance(gone.get(propagate=False), RunCancelled)
    assert isinstance(gone.result, RunCancelled)


def test_a_task_without_its_code(t: Tasks, app: Celery, drain: Drain) -> None:
    known = app.send_task("proj.add", (2, 2))
    named = signature("proj.add", args=(2,)).delay(3)
    drain()
    assert (known.get(), named.get()) == (4, 5)
    elsewhere = Celery("caller", backend="taskflow://", registry=Registry())
    result = elsewhere.send_task("proj.add", (3,), {"y": 4})
    plan = elsewhere.signature("proj.add", (1, 1)) | elsewhere.signature("proj.mul", (3,))
    product = plan.delay()
    with pytest.raises(QueueNotFound):
        elsewhere.send_task("proj.add", (1, 1), queue="nosuch")
    drain()
    assert (result.get(), product.get()) == (7, 6)


def test_queues_and_routes(taskflow_registry: Registry, drain: Drain) -> None:
    app = Celery("proj", backend="taskflow://", registry=taskflow_registry)
    app.conf.task_routes = ([("feed.*", {"queue": "feeds"}), (re.compile(r"web\."), "web")],)
    app.conf.task_queues = ["urgent"]
    feed = app.task(name="feed.load", bind=True)(lambda self: self.request.delivery_info["queue"])
    own = app.task(name="web.get", queue="own", bind=True)(
        lambda self: self.request.delivery_info["queue"]
    )
    assert (feed.queue, own.queue, app.queue_of("web.x")) == ("feeds", "own", "web")
    drain()
    results = [feed.delay(), own.delay(), own.apply_async(queue="urgent")]
    drain()
    assert [one.get() for one in results] == ["feeds", "own", "urgent"]
    with pytest.raises(ConfigError, match="has no queue 'nosuch'"):
        own.apply_async(queue="nosuch")


def test_a_task_calls_others_and_does_not_wait(t: Tasks, app: Celery, drain: Drain) -> None:
    @app.task(name="outer")
    def outer() -> str:
        result = (t.add.s(1, 1) | t.add.s(2)).delay()
        with pytest.raises(WouldDeadlock):
            result.get()
        return str(result.id)

    drain()
    result = outer.delay()
    drain()
    assert app.AsyncResult(result.get()).get() == 4


# ---- signatures ---------------------------------------------------------------------------------
def test_signatures_are_data_with_partial_arguments(t: Tasks, drain: Drain) -> None:
    partial = t.add.s(2)
    results = [
        t.add.signature((2, 2), countdown=0).delay(),
        partial.delay(4),
        t.mul.s(y=3).apply_async((4,)),
        t.add.si(1, 2).apply_async((9,)),
        t.add.subtask(args=(1, 1)).set(expires=60).delay(),
    ]
    drain()
    assert [one.get() for one in results] == [4, 6, 12, 3, 2]
    assert partial.args == (2,)
    assert t.add.s(2, 2)() == 4
    assert t.add.s(2).apply((3,)).get() == 5
    assert repr(t.add.s(2, y=2)) == "proj.add(2, y=2)"


def test_link_and_link_error(t: Tasks, drain: Drain) -> None:
    linked = t.add.apply_async((2, 2), link=t.note.s(16))
    both = t.add.apply_async((1, 1), link=[t.note.s("a"), t.note.s("b")])
    failed = t.fail.apply_async(link_error=t.note.s("told"), link=t.note.s("never"), args=(1,))
    drain()
    assert (linked.get(), both.get(), failed.state) == (4, 2, states.FAILURE)
    told = next(call for call in t.calls if "told" in call)
    assert told[0]["error"] == "ValueError"
    assert sorted(call for call in t.calls if call is not told) == [
        (2, "a"),
        (2, "b"),
        (4, 16),
    ]


def test_an_immutable_errback_takes_its_own_arguments_alone(t: Tasks, drain: Drain) -> None:
    sig = t.fail.s(1)
    sig.link_error(t.note.si("told"))
    sig.apply_async(task_id="one")
    drain()
    assert t.calls == [("told",)]


# ---- chains -------------------------------------------------------------------------------------
def test_chains(t: Tasks, drain: Drain) -> None:
    results = [
        chain(t.add.s(2, 2), t.add.s(4), t.add.s(8))(),
        (t.add.s(4, 4) | t.mul.s(8)).delay(),
        (t.add.s(4) | t.mul.s(8)).delay(1),
        chain([t.add.s(1, 1), t.add.si(5, 5)]).apply_async(),
        chain(chain(t.add.s(1, 1)), t.add.s(1) | t.add.s(1)).apply_async(task_id="four"),
    ]
    drain()
    assert [one.get() for one in results] == [16, 64, 40, 10, 4]
    assert results[-1].id == "four"
    first: Any = results[0]
    assert (first.parent.get(), first.parent.parent.get(), first.parent.parent.parent) == (
        8,
        4,
        None,
    )
    assert chain(t.add.s(1, 1), t.mul.s(3)).apply().get() == 6


def test_a_chain_that_fails(t: Tasks, drain: Drain) -> None:
    result = chain(t.add.s(1, 1), t.fail.s(), t.note.s()).on_error(t.note.s("told")).delay()
    linked = chain(t.add.s(1, 1), t.add.s(1)).apply_async(link=t.note.s("linked"))
    drain()
    with pytest.raises(ValueError, match="no"):
        result.get()
    assert linked.get() == 3
    assert sorted(call[-1] for call in t.calls) == ["linked", "told"]


# ---- groups and chords --------------------------------------------------------------------------
def test_groups(t: Tasks, drain: Drain) -> None:
    result = group(t.add.s(n, n) for n in range(4))()
    assert (result.ready(), result.waiting(), result.completed_count(), len(result)) == (
        False,
        True,
        0,
        4,
    )
    drain()
    assert (result.ready(), result.successful(), result.failed()) == (True, True, False)
    assert result.get() == result.join(timeout=1) == [0, 2, 4, 6]
    assert result.completed_count() == 4
    assert [one.get() for one in result] == [0, 2, 4, 6]
    assert result[1].get() == 2
    again = GroupResult.restore(result.id)
    assert again is not None
    result.save()
    assert again.children == again.results == result.results
    assert GroupResult.restore("nosuch") is None
    partial = group(t.add.s(1), t.mul.s(5)).delay(10)
    drain()
    assert partial.get() == [11, 50]


def test_all_members_run_whatever_becomes_of_one(t: Tasks, drain: Drain) -> None:
    result = group([t.fail.s(), t.add.s(1, 1), t.add.s(2, 2)]).apply_async(task_id="g")
    drain()
    assert (result.id, result.failed(), result.successful()) == ("g", True, False)
    assert result.completed_count() == 2
    with pytest.raises(ValueError, match="no"):
        result.get()
    values = result.join(propagate=False)
    assert isinstance(values[0], ValueError)
    assert values[1:] == [2, 4]


def test_chords(t: Tasks, drain: Drain) -> None:
    header = [t.add.s(n, n) for n in range(5)]
    results = [
        chord(header)(t.total.s()),
        chord((t.add.s(n, n) for n in range(5)), t.total.s())(),
        (group(header) | t.total.s()).delay(),
        chain(t.add.s(1, 1), group(t.add.s(1), t.add.s(2)), t.total.s()).delay(),
        chord(header, t.total.s()).apply_async(queue="celery"),
    ]
    last = chain(t.add.s(1, 1), group(t.add.s(1), t.mul.s(4))).delay()
    drain()
    assert [one.get() for one in results] == [20, 20, 20, 7, 20]
    assert isinstance(last, GroupResult)
    assert last.get() == [3, 8]


def test_a_chord_that_fails_tells_the_errback_of_its_body_once(t: Tasks, drain: Drain) -> None:
    body = t.total.s().on_error(t.note.s("told"))
    result = chord([t.fail.s(), t.fail.s(), t.add.s(1, 1)], body).delay()
    drain()
    assert result.state == states.FAILURE
    with pytest.raises(ValueError, match="no"):
        result.get()
    assert [call[-1] for call in t.calls] == ["told"]


def test_map_starmap_and_chunks(t: Tasks, drain: Drain) -> None:
    sums = t.total.map([list(range(3)), list(range(4))])()
    added = t.add.starmap(zip(range(3), range(3), strict=True)).delay()
    chunks = t.add.chunks(zip(range(5), range(5), strict=True), 2)()
    grouped = t.add.chunks([(1, 1)], 2).group()()
    drain()
    assert sums.get() == [3, 6]
    assert added.get() == [0, 2, 4]
    assert chunks.get() == [[0, 2], [4, 6], [8]]
    assert grouped.get() == [[2]]


def test_what_is_no_part_of_a_canvas(t: Tasks, taskflow_broker: Broker) -> None:
    for make in (chain, group):
        with pytest.raises(TypeError, match=r"add\.s"):
            make([1])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        t.add.s(1) | 3  # type: ignore[operator]
    with pytest.raises(ValueError, match="one part at least"):
        chain().delay()
    with pytest.raises(NotPorted, match="said once"):
        chain(t.add.s(1, 1).set(link=t.note.s()), t.add.s(1)).delay()
    with pytest.raises(NotPorted, match="for whatever part fails"):
        chain(t.add.s(1, 1).on_error(t.note.s()), t.add.s(1)).delay()


def test_a_group_behind_what_failed_does_not_wait(t: Tasks, drain: Drain) -> None:
    result = chain(t.fail.s(), group(t.add.s(1), t.add.s(2))).delay()
    drain()
    assert (result.ready(), result.state) == (True, states.FAILURE)
    with pytest.raises(ValueError, match="no"):
        result.get()
    (error,) = result.get(propagate=False)
    assert isinstance(error, ValueError)


def test_parts_of_several_apps(t: Tasks, app: Celery, drain: Drain) -> None:
    other = Celery("other", backend="taskflow://", registry=app.registry)
    other.conf.task_default_queue = "others"
    triple = other.task(name="other.triple")(lambda x: 3 * x)
    drain()
    result = chain(t.add.s(1, 1), triple.s(), t.add.s(1)).delay()
    drain()
    assert (triple.queue, t.add.queue, result.get()) == ("others", "celery", 7)
