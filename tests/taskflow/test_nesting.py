"""What is nested too deep, or holds itself: every entrance refuses it and says where, and what is
stored so keeps nobody from the rest."""

import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from taskflow import (
    Broker,
    Event,
    Registry,
    Result,
    Run,
    Worker,
    chain,
    group,
    open_broker,
    outbox,
    publish,
    publish_many,
    schedules,
    send_task,
    task,
    workflow,
)
from taskflow.broker.change import Change, Put
from taskflow.broker.record import RecordQuery
from taskflow.celery import Celery
from taskflow.cli import main
from taskflow.errors import DecodeError, RegistrationError
from taskflow.payload import encode
from taskflow.publisher import default_broker, using
from taskflow.server.paging import write_token
from taskflow.server.sqs_attributes import same_attribute
from taskflow.server.sqs_moves import read_handle
from taskflow.tasks.cancelling import stop_parts
from taskflow.tasks.canvas.following import Following
from taskflow.tasks.canvas.links import ErrorCall
from taskflow.tasks.due_runs import send_due
from taskflow.tasks.listing import list_runs
from taskflow.tasks.run import RUN, load
from taskflow.testing import ManualClock
from taskflow.wire.error_codes import WireError
from taskflow.wire.policies import PolicyError, parse_policy
from taskflow.workflows import tree
from taskflow.workflows.signals import send_signal
from tests.taskflow.dashboard.site_client import Client

DEPTH = 100_000  # deeper than any Python writes or reads
RAW = "[" * DEPTH + "]" * DEPTH


@pytest.fixture(autouse=True)
def broker(taskflow_broker: Broker) -> Broker:
    """The default one, with a queue for the tasks of this module."""
    taskflow_broker.create_queue("nested")
    taskflow_broker.create_topic("made")
    return taskflow_broker


def deep() -> Any:
    value: Any = []
    for _ in range(DEPTH):
        value = [value]
    return value


def circle() -> Any:
    value: list[Any] = []
    value.append({"again": value})
    return value


@task(name="nested.takes", queue="nested", registry=Registry(), result="1d")
def takes(value: Any = None, *more: Any, **named: Any) -> Any:
    return value


@task(name="nested.keyed", registry=Registry(), key="value")
def keyed(value: Any) -> None: ...


@workflow(name="nested.steers", registry=Registry())
def steers(ctx: Run, value: Any) -> None: ...


def event_of(value: Any) -> Event[Any]:
    return Event(topic="made", payload=value, id="e", time=0.0)


def save(value: Any) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        outbox.publish(connection, "made", value)


def update(value: Any) -> None:
    put = schedules.put
    put("nested", every="1h", task=takes, kwargs={"value": value})


ENTRANCES: dict[str, Callable[[Any], object]] = {
    "encode": lambda value: encode({"a": value}),
    "encode beside null": lambda value: encode([None, value]),
    "publish": lambda value: publish("made", value),
    "publish_many": lambda value: publish_many(
        [Event(topic="made", payload=value, id="e", time=0.0)]
    ),
    "outbox": save,
    "delay": lambda value: takes.delay(1, value),
    "delay by name": lambda value: takes.delay(value=value),
    "options": lambda value: takes.options(delay=5).delay(value),
    "key": lambda value: keyed.delay(value),
    "send_many": lambda value: takes.send_many([1, (value,)]),
    "call": lambda value: takes.call(value),
    "send_task": lambda value: send_task("nested.other", [value]),
    "s": lambda value: takes.s(value),
    "chain": lambda value: chain(takes.s(1), takes.si(value)).delay(),
    "group": lambda value: group(takes.s(one) for one in (1, value)).delay(),
    "map": lambda value: takes.map([value]).delay(),
    "on_success": lambda value: takes.options(on_success=takes.s(value)),
    "schedule": lambda value: schedules.put("n", every="1h", task=takes, args=(value,)),
    "schedule by name": update,
    "schedule of an event": lambda value: schedules.put("n", every="1h", publish=("made", value)),
    "workflow": lambda value: steers.delay(value),
    "signal": lambda value: send_signal(default_broker(), "none", "name", value),
}


@pytest.mark.parametrize("make", [deep, circle])
@pytest.mark.parametrize("entrance", ENTRANCES)
def test_every_entrance_refuses_it_and_says_where(entrance: str, make: Callable[[], Any]) -> None:
    value = make()
    with pytest.raises(ValueError, match=r"(at |\$).*\[.*… ?.*|….*nested deeper") as caught:
        ENTRANCES[entrance](value)
    assert "nested deeper than this Python writes, or holds itself" in str(caught.value)
    assert len(str(caught.value)) < 200
    assert not isinstance(caught.value, UnicodeError)


def test_the_path_is_named() -> None:
    with pytest.raises(ValueError, match=r"argument more at \['a'\]\[1\]\[0\]"):
        takes.s(1, more={"a": [2, deep()]})


def test_a_filter_is_refused_at_import(taskflow_registry: Registry) -> None:
    with pytest.raises(RegistrationError, match="nested too deep"):
        taskflow_registry.subscribe("made", queue="work", filter={"a": deep()})(publish)


# ---- results ------------------------------------------------------------------------------------
@pytest.mark.parametrize("make", [deep, circle])
def test_results_and_steps_fail_with_the_reason(
    taskflow_broker: Broker, taskflow_registry: Registry, make: Callable[[], Any]
) -> None:
    @task(registry=taskflow_registry, name="returns", result="1d")
    def returns(value: Any = None) -> Any:
        return make()

    @workflow(registry=taskflow_registry, name="steps")
    def steps(ctx: Run) -> None:
        ctx.step(make)

    @workflow(registry=taskflow_registry, name="child")
    def child(ctx: Run) -> None:
        ctx.call(returns, make())

    @workflow(registry=taskflow_registry, name="anew")
    def anew(ctx: Run, value: Any = None) -> None:
        ctx.restart(make())

    @workflow(registry=taskflow_registry, name="sends")
    def sends(ctx: Run) -> None:
        publish("made", make())

    worker = Worker(taskflow_broker, registry=taskflow_registry)
    runs: list[Result[Any]] = [one.delay() for one in (returns, steps, child, anew, sends)]
    worker.drain()
    for run in runs:
        assert run.error is not None
        assert "nested deeper than this Python writes, or holds itself" in run.error.message


def test_so_does_what_a_task_of_celery_tells(
    taskflow_broker: Broker, taskflow_registry: Registry
) -> None:
    app = Celery("proj", backend="taskflow://", registry=taskflow_registry)

    @app.task(bind=True, name="tells")
    def tells(self: Any) -> None:
        self.update_state(state="PROGRESS", meta=circle())

    worker = Worker(taskflow_broker, registry=taskflow_registry)
    run = tells.delay()
    worker.drain()
    assert "holds itself" in str(run.result)


# ---- what is stored -----------------------------------------------------------------------------
def spoil(broker: Broker, kind: str, key: str, old: str) -> None:
    """Have something in a record that this process cannot read, as another Python may write it."""
    record = broker.records(kind, [key])[key]
    assert old in record.value
    put = Put(
        kind=kind,
        key=key,
        value=record.value.replace(old, RAW),
        parent=record.parent,
        label=record.label,
        state=record.state,
        due_at=record.due_at,
    )
    broker.apply([Change(records=[put])])[0].or_raise()


@pytest.fixture
def unreadable(taskflow_broker: Broker) -> Result[Any]:
    """A run whose record nobody here can read."""
    run: Result[Any] = takes.options(id="nested").delay("value")
    spoil(taskflow_broker, RUN, "nested", '"value"')
    return run


LOOKS: dict[str, Callable[[Result[Any]], object]] = {
    "get": lambda run: run.get(0),
    "state": lambda run: run.state,
    "error": lambda run: run.error,
    "cancel": lambda run: run.cancel(),
    "forget": lambda run: run.forget(),
    "load": lambda run: load(run.broker, [run.id]),
    "the same again": lambda run: takes.options(id="nested").delay("other"),
    "signal": lambda run: send_signal(run.broker, run.id, "name"),
    "tree": lambda run: tree.tree_of(run.broker, run.id),
}


@pytest.mark.parametrize("look", LOOKS)
def test_who_looks_at_a_run_that_cannot_be_read_is_told(unreadable: Result[Any], look: str) -> None:
    with pytest.raises(DecodeError, match="run 'nested' cannot be read here"):
        LOOKS[look](unreadable)


@pytest.mark.parametrize("words", [["result"], ["workflow", "show"], ["cancel"]])
def test_so_are_operators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    address = f"sqlite:///{tmp_path}/broker.db"
    monkeypatch.setenv("TASKFLOW_BROKER", address)
    with closing(open_broker(address)) as broker, using(broker):
        broker.create_queue("nested")
        takes.options(id="nested").delay("value")
        spoil(broker, RUN, "nested", '"value"')
    done = CliRunner().invoke(main, [*words, "nested"])
    assert done.exit_code == 2
    assert "Error: run 'nested' cannot be read here" in done.output


def test_a_page_of_it_says_so(broker: Broker, unreadable: Result[Any]) -> None:
    client = Client(broker)
    answer = client.get(f"/workflows/{unreadable.id}")
    assert answer.status == 400
    assert "cannot be read here" in answer.body.decode()
    assert client.get("/workflows").status == 200


def test_what_a_step_returned_that_is_nested_too_deep_is_shown_as_text() -> None:
    assert tree._value(msgspec.Raw(RAW.encode())) == RAW


def test_lists_go_on_without_it(
    taskflow_broker: Broker, unreadable: Result[Any], caplog: pytest.LogCaptureFixture
) -> None:
    other = takes.delay("other")
    caplog.set_level(logging.WARNING)
    assert [one.id for one in list_runs(taskflow_broker).runs] == [other.id]
    stop_parts(taskflow_broker, "nested")
    assert "run 'nested' cannot be read here" in caplog.text


def test_one_that_is_due_holds_up_no_other(
    taskflow_broker: Broker, taskflow_clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    for id in ("first", "second"):
        takes.options(id=id, delay="30d").delay(f"value of {id}")
    spoil(taskflow_broker, RUN, "first", '"value of first"')
    taskflow_clock.advance(30 * 86400.0)
    assert send_due(taskflow_broker, "worker") == taskflow_clock.now() + 60
    assert taskflow_broker.counts("nested").visible == 1
    taskflow_clock.advance(60)
    assert send_due(taskflow_broker, "worker") == taskflow_clock.now() + 60
    (page,) = taskflow_broker.list_records(RecordQuery(kind=RUN, order="due")).records
    assert RAW in page.value
    assert page.label == "nested.takes"
    assert "run 'first' cannot be read here" in caplog.text


@pytest.mark.parametrize(
    ("args", "whole"),
    [("[]", "[{told}]"), ("[1]", "[{told},1]"), (' [ "a", [2] ]', '[{told},"a", [2] ]')],
)
def test_what_is_called_when_a_plan_fails_has_its_arguments_as_they_are(
    taskflow_broker: Broker, args: str, whole: str
) -> None:
    """They are not read on the way, so that none is too deep for it."""
    run = row_of_plan(taskflow_broker)
    call = ErrorCall("nested.takes", "nested", msgspec.Raw(args.encode()), msgspec.Raw(b"{}"))
    place = msgspec.structs.replace(run.place, on_error=call)
    following = Following(taskflow_broker, 0.0)
    following._end_plan("root", msgspec.structs.replace(run, place=place), "failed")
    told = '{"run":"root","state":"failed","error":"","message":"the plan was failed"}'
    assert whole.replace("{told}", told) in following.sends[0].messages[0].body


def row_of_plan(broker: Broker) -> Any:
    """A run that is a part of a plan."""
    chain(takes.s(1), takes.s()).delay()
    return list_runs(broker).runs[0].run


# ---- the wire -----------------------------------------------------------------------------------
def test_the_server_refuses_it_in_the_words_of_aws() -> None:
    with pytest.raises(PolicyError, match="Invalid value for the parameter Policy"):
        parse_policy(RAW)
    assert not same_attribute("Policy", RAW, "{}")
    with pytest.raises(WireError, match="TaskHandle is invalid"):
        read_handle(write_token(RAW))
