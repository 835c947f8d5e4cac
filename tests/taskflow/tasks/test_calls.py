"""Calling a task: what is checked, what is stored, what runs."""

import asyncio
import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from taskflow import Broker, Context, Registry, Reject, RetryPolicy, send_task, task
from taskflow.errors import (
    ConfigError,
    NoResult,
    QueueNotFound,
    RegistrationError,
    RunFailed,
)
from taskflow.message import FAILURE, Message, plain_text
from taskflow.tasks.task_context import TaskContext
from taskflow.testing import ManualClock

Drain = Callable[[], int]


@dataclass
class Order:
    """An argument of a type of its own."""

    id: str
    cents: int


@task(name="top.double")
def double(x: int) -> int:
    """Twice."""
    return 2 * x


def test_a_plain_call_stays_a_plain_call() -> None:
    assert double(2) == 4
    assert (double.__name__, double.__doc__, double.name) == ("double", "Twice.", "top.double")
    assert inspect.signature(double).parameters["x"].annotation is int
    assert copy.copy(double) is double  # by its name, as pickle does


def test_a_call_runs_with_the_annotated_types(taskflow_registry: Registry, drain: Drain) -> None:
    seen: list[Any] = []

    @task(registry=taskflow_registry)
    def handle(order: Order, *more: int, note: str = "", **rest: float) -> None:
        seen.append((order, more, note, rest))

    drain()  # declares
    handle.delay(Order("ord_1", 5), 1, 2, note="n", weight=1.5)
    assert drain() == 1
    assert seen == [(Order("ord_1", 5), (1, 2), "n", {"weight": 1.5})]


@pytest.mark.parametrize("place", ["first", "middle", "last", "named"])
def test_the_context_goes_where_it_is_wanted(
    place: str, taskflow_registry: Registry, drain: Drain
) -> None:
    seen: list[Any] = []

    def first(ctx: Context, a: int, b: int = 2) -> None:
        seen.append((ctx, a, b))

    def middle(a: int, ctx: Context, b: int = 2) -> None:
        seen.append((ctx, a, b))

    def last(a: int, b: int, ctx: Context) -> None:
        seen.append((ctx, a, b))

    def named(a: int, b: int = 2, *, ctx: Context) -> None:
        seen.append((ctx, a, b))

    function: Callable[..., None] = locals()[place]
    made = task(registry=taskflow_registry, name=place)(function)
    drain()
    made.delay(1, 3)
    made.delay(a=1, b=3)
    assert drain() == 2
    for ctx, a, b in seen:
        assert isinstance(ctx, TaskContext)
        assert (a, b, ctx.attempt, ctx.queue, ctx.handler) == (1, 3, 1, "default", place)
        assert ctx.run is None
        assert not ctx.cancelled
        ctx.progress(1, 2)  # nobody listens


@pytest.mark.parametrize(
    ("args", "kwargs", "says"),
    [
        ((), {}, "missing a required argument: 'x'"),
        ((1, 2), {}, "too many positional arguments"),
        ((1,), {"y": 1}, "unexpected keyword argument 'y'"),
    ],
)
def test_arguments_are_checked_when_it_is_called(
    args: tuple[Any, ...], kwargs: dict[str, Any], says: str, taskflow_broker: Broker
) -> None:
    with pytest.raises(TypeError, match=says) as refused:
        double.delay(*args, **kwargs)
    assert "top.double(x: int) -> int" in str(refused.value)


def test_what_json_cannot_carry_is_refused_with_the_path_to_it(taskflow_broker: Broker) -> None:
    values: list[tuple[Any, str]] = [
        (object(), "argument 1: "),
        ({"a": [1, {"b": object()}]}, r"argument 1 at \['a'\]\[1\]\['b'\]: "),
        ([1.0, float("nan")], r"argument 1 at \[1\]: "),
        ({"a": ["\ud800"]}, r"argument 1 at \['a'\]\[0\]: holds half of a surrogate pair"),
    ]
    for value, says in values:
        with pytest.raises((TypeError, ValueError), match=says):
            double.delay(value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"headers": ["a"]}, r"headers is \['a'\]; a dict"),
        ({"headers": {"a": "\ud800"}}, "the header 'a' holds half of a surrogate pair"),
        ({"key": "\ud800"}, "key holds half of a surrogate pair"),
    ],
)
def test_an_option_that_is_no_text_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises((TypeError, ValueError), match=says):
        double.options(**options)


def test_a_call_by_name_has_a_name_and_a_list(taskflow_broker: Broker) -> None:
    with pytest.raises(ValueError, match="'' is none"):
        send_task("")
    with pytest.raises(TypeError, match="a list of arguments is wanted"):
        send_task("double", "12")


def test_before_its_queue_is_declared_a_call_says_so(taskflow_broker: Broker) -> None:
    with pytest.raises(QueueNotFound, match="default"):
        double.delay(1)


def test_an_async_task_is_awaited(taskflow_registry: Registry, drain: Drain) -> None:
    @task(registry=taskflow_registry, result="1h")
    async def slow(x: int) -> int:
        return await asyncio.to_thread(lambda: x + 1)

    drain()
    result = slow.delay(1)
    assert drain() == 1
    assert result.get(0) == 2
    assert asyncio.run(slow(5)) == 6


def test_async_twins(taskflow_registry: Registry, drain: Drain) -> None:
    @task(registry=taskflow_registry, result="1h")
    def add(x: int, y: int) -> int:
        return x + y

    drain()

    async def both() -> int:
        result = await add.delay_async(1, 2)
        await asyncio.to_thread(drain)
        assert await result.get_async(0) == 3
        return await result

    assert asyncio.run(both()) == 3


@pytest.mark.parametrize("result", ["1h", None])
def test_async_twins_of_many_and_of_call(
    result: str | None, taskflow_registry: Registry, drain: Drain
) -> None:
    @task(registry=taskflow_registry, result=result)
    def add(x: int, y: int) -> int:
        return x + y

    drain()

    async def both() -> int:
        assert len(await add.send_many_async([(1, 2), (3, 4)])) == 2
        called = asyncio.ensure_future(add.call_async(5, 6, timeout=60))
        while not called.done():
            await asyncio.to_thread(drain)
        return await called

    assert asyncio.run(both()) == 11


def test_many_calls_are_one_transaction_per_thousand(
    taskflow_registry: Registry, taskflow_broker: Broker, drain: Drain
) -> None:
    seen: list[tuple[int, int]] = []

    @task(registry=taskflow_registry)
    def add(x: int, y: int = 0) -> None:
        seen.append((x, y))

    drain()
    results = add.send_many([(1, 2), {"x": 3, "y": 4}, 5])
    assert len({one.id for one in results}) == 3
    assert drain() == 3
    assert sorted(seen) == [(1, 2), (3, 4), (5, 0)]
    add.send_many((n,) for n in range(2500))
    assert taskflow_broker.counts("default").visible == 2500
    with pytest.raises(ValueError, match="of one"):
        add.options(id="x").send_many([(1,)])


def test_a_call_by_name_needs_no_code(taskflow_registry: Registry, drain: Drain) -> None:
    seen: list[int] = []
    task(registry=taskflow_registry, name="far.away", queue="far")(seen.append)
    drain()
    send_task("far.away", [7], queue="far")
    assert drain() == 1
    assert seen == [7]


@pytest.mark.parametrize(
    "body",
    [
        '{"task":"far.away","args":[7]}',
        '{ "args": [7], "task": "far.away" }',
        '{"kwargs": {"x": 7}, "task": "far.away", "headers": {"a": "b"}, "later": true}',
    ],
)
def test_any_client_may_write_the_message(
    body: str, taskflow_registry: Registry, taskflow_broker: Broker, drain: Drain
) -> None:
    seen: list[int] = []

    @task(registry=taskflow_registry, name="far.away", queue="far")
    def far(x: int) -> None:
        seen.append(x)

    drain()
    taskflow_broker.send("far", [Message("m1", body)])
    assert drain() == 1
    assert seen == [7]


def test_an_event_never_starts_a_task_nor_a_task_a_handler(
    taskflow_registry: Registry, taskflow_broker: Broker, drain: Drain
) -> None:
    seen: list[str] = []
    taskflow_registry.subscribe("made", queue="mixed")(lambda event: seen.append("event"))

    @task(registry=taskflow_registry, name="made", queue="mixed")
    def made() -> None:
        seen.append("task")

    drain()
    event = '{"specversion":"1.0","id":"1","source":"s","type":"made","task":"made"}'
    taskflow_broker.send("mixed", [Message("e", event)])
    assert drain() == 1
    assert seen == ["event"]
    made.delay()
    assert drain() == 1
    assert seen == ["event", "task"]


@pytest.mark.parametrize("attempts", [1, 3])
def test_an_unknown_task_is_reported_and_dead_lettered_after_its_limit(
    attempts: int,
    taskflow_registry: Registry,
    taskflow_broker: Broker,
    later: Callable[[float], int],
) -> None:
    policy = RetryPolicy(retries=attempts - 1, backoff=1, jitter=False)
    task(registry=taskflow_registry, name="known", policy=policy)(lambda: None)
    later(0)
    send_task("unknown")
    runs = sum(later(60) for _ in range(6))
    assert runs == attempts
    (letter,) = taskflow_broker.peek("default-dlq")
    assert "no task 'unknown' on queue 'default'" in plain_text(letter.attributes[FAILURE])


def test_arguments_that_fit_no_longer_are_dead_lettered_with_the_reason(
    taskflow_registry: Registry, taskflow_broker: Broker, drain: Drain
) -> None:
    @task(registry=taskflow_registry, name="t", result="1h")
    def t(x: int) -> None: ...

    drain()
    wrong = send_task("t", ["text"], result="1h")
    few = send_task("t", [], result="1h")
    assert drain() == 2
    with pytest.raises(RunFailed, match="argument 'x': the payload does not fit"):
        wrong.get(0)
    with pytest.raises(RunFailed, match="missing a required argument: 'x'"):
        few.get(0)
    assert taskflow_broker.counts("default-dlq").visible == 2


def test_a_task_may_have_had_other_names(taskflow_registry: Registry, drain: Drain) -> None:
    seen: list[int] = []
    task(registry=taskflow_registry, name="new", aliases=["old"])(seen.append)
    drain()
    send_task("old", [1])
    assert drain() == 1
    assert seen == [1]


def test_a_call_goes_to_a_queue_of_the_task_only(
    taskflow_registry: Registry, drain: Drain, taskflow_broker: Broker
) -> None:
    seen: list[str] = []

    @task(registry=taskflow_registry, queue=("quick", "bulk"))
    def t(ctx: Context) -> None:
        seen.append(ctx.queue)

    drain()
    t.delay()
    t.options(queue="bulk").delay()
    with pytest.raises(ConfigError, match="its queues are quick, bulk"):
        t.options(queue="other").delay()
    assert drain() == 2
    assert seen == ["quick", "bulk"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"colour": 1}, "options does not know 'colour'"),
        ({"delay": 1, "at": 2.0}, "delay or at, not both"),
        ({"delay": "soon"}, "'soon', which is no duration"),
        ({"delay": -1}, "no duration"),
        ({"at": "noon"}, "at is 'noon'"),
        ({"key": ""}, "key has 0 characters"),
        ({"key": "x" * 10_000}, "key has 10000 characters"),
        ({"key": 7}, "key is 7"),
        ({"on_key": "drop"}, "on_key is 'drop'"),
        ({"id": "a\nb"}, "id"),
        ({"result": 0}, "result is 0"),
        ({"result": "100000d"}, "10 years at most"),
        ({"group": "g", "tenant": "t"}, "not both"),
        ({"headers": {"a": 1}}, "header 'a' is 1"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(Exception, match=says):
        double.options(**options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"colour": 1}, "task does not know 'colour'"),
        ({"queue": ()}, "names no queue"),
        ({"queue": "a b"}, "task: "),
        ({"queue": "x-dlq"}, "dead-letter queues"),
        ({"result": -1}, "result is -1"),
        ({"on_success": print}, "a task is wanted"),
        ({"retry_on": [1]}, "1 is no exception type"),
        ({"timeout": 0}, "timeout is 0"),
    ],
)
def test_a_task_that_cannot_be_is_refused_at_import(
    options: dict[str, Any], says: str, taskflow_registry: Registry
) -> None:
    with pytest.raises(RegistrationError, match=says):
        task(registry=taskflow_registry, **options)(lambda: None)


def test_functions_that_no_message_can_call_are_refused(taskflow_registry: Registry) -> None:
    def method(self, x: int) -> None: ...  # type: ignore[no-untyped-def]

    def generator() -> Any:
        yield 1

    def two(a: Context, b: Context) -> None: ...

    def foreign(x: RetryPolicy) -> None: ...

    def unknown(x: "Nowhere") -> None: ...  # type: ignore[name-defined] # noqa: F821

    cases: list[tuple[Any, str]] = [
        (method, "is a method"),
        (generator, "is a generator"),
        (two, "two contexts"),
        (unknown, "'Nowhere' cannot be resolved"),
        (Order, "is no function"),
        (double, "is a task already"),
        (7, "is no function"),
    ]
    for function, says in cases:
        with pytest.raises(RegistrationError, match=says):
            task(registry=taskflow_registry)(function)


def test_two_tasks_of_one_name_on_a_queue_are_refused(taskflow_registry: Registry) -> None:
    def one() -> None: ...

    def two() -> None: ...

    task(registry=taskflow_registry, name="t")(one)
    task(registry=taskflow_registry, name="t")(one)  # its module was reloaded
    with pytest.raises(RegistrationError, match="has a task 't' already"):
        task(registry=taskflow_registry, name="t")(two)
    task(registry=taskflow_registry, name="t", queue="another")(two)


def test_which_errors_are_tried_again(taskflow_registry: Registry, drain: Drain) -> None:
    runs: list[str] = []
    fixed = RetryPolicy(retries=2, backoff=0, jitter=False)

    @task(registry=taskflow_registry, policy=fixed, retry_on=[ConnectionError])
    def only(kind: str) -> None:
        runs.append(kind)
        raise {"connection": ConnectionResetError, "value": ValueError}[kind]

    @task(registry=taskflow_registry, policy=fixed, give_up_on=[ValueError])
    def not_those(kind: str) -> None:
        only.function(kind)

    drain()
    for one in (only, not_those):
        for kind in ("connection", "value"):
            one.delay(kind)
    drain()
    assert (runs.count("connection"), runs.count("value")) == (6, 2)


def test_a_call_without_a_result_writes_no_row(
    taskflow_registry: Registry, taskflow_broker: Broker, drain: Drain
) -> None:
    @task(registry=taskflow_registry)
    def t() -> int:
        return 1

    drain()
    result = t.delay()
    assert drain() == 1
    assert taskflow_broker.count_records("run") == {}
    for look in (
        lambda: result.get(0),
        lambda: result.state,
        lambda: result.progress,
        lambda: result.error,
    ):
        with pytest.raises(NoResult, match="result="):
            look()


def test_a_reject_is_a_failure_at_once(taskflow_registry: Registry, drain: Drain) -> None:
    @task(registry=taskflow_registry, result="1h")
    def t() -> None:
        raise Reject("not mine")

    drain()
    result = t.delay()
    assert drain() == 1
    with pytest.raises(RunFailed, match="not mine"):
        result.get(0)


def test_a_task_that_never_ends_is_counted_by_its_starts(
    taskflow_registry: Registry,
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    later: Callable[[float], int],
) -> None:
    """Its worker dies each time: the run says so in the end, and nobody waits for ever."""

    @task(registry=taskflow_registry, retries=1, result="1h")
    def t() -> None: ...

    later(0)
    result = t.delay()
    for _ in range(2):
        assert len(taskflow_broker.receive("default")) == 1  # and never settled
        taskflow_clock.advance(taskflow_broker.settings("default").visibility_timeout + 1)
    assert later(0) == 1
    with pytest.raises(RunFailed, match="started 2 times and never finished"):
        result.get(0)


def test_types_that_only_pydantic_knows(taskflow_registry: Registry, drain: Drain) -> None:
    class Item(msgspec.Struct):
        sku: str
        n: int = 1

    seen: list[Item] = []

    @task(registry=taskflow_registry, result="1h")
    def t(items: list[Item]) -> Item:
        seen.extend(items)
        return items[0]

    drain()
    result = t.delay([Item("a"), Item("b", 2)])
    assert drain() == 1
    assert seen == [Item("a"), Item("b", 2)]
    assert result.get(0) == Item("a")
