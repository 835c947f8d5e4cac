"""What does not map is refused where it is met, with what to use instead."""

import ast
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import taskflow.celery
from taskflow import Broker, Registry, Worker
from taskflow.celery import AsyncResult, Celery, chain, crontab, group
from taskflow.celery.not_ported import REFUSED
from taskflow.errors import NotPorted, Reject
from taskflow.message import FAILURE, Message, plain_text

Trigger = Callable[[Celery, Any], Any]
DAYS = {"day_of_week": 1, "day_of_month": 1}


def _option(**options: Any) -> Trigger:
    return lambda app, add: app.task(**options)(lambda: None)


def _call(**options: Any) -> Trigger:
    return lambda app, add: add.apply_async((1, 2), **options)


def _app(name: str) -> Trigger:
    return lambda app, add: getattr(app, name)


def _retry(**given: Any) -> Trigger:
    return lambda app, add: add.retry(**given)


def _result(name: str) -> Trigger:
    return lambda app, add: getattr(AsyncResult("id"), name)


def _name(name: str) -> Trigger:
    return lambda app, add: getattr(taskflow.celery, name)


def _schedule(**entry: Any) -> Trigger:
    return lambda app, add: app.conf.update(beat_schedule={"x": {"task": "t", **entry}})


MET: dict[str, Trigger] = {
    "acks_late=False": _option(acks_late=False),
    "acks_on_failure=False": _option(acks_on_failure=False),
    "reject_on_worker_lost=False": _option(reject_on_worker_lost=False),
    "serializer": _option(serializer="pickle"),
    "compression": _call(compression="gzip"),
    "exchange": _call(exchange="media"),
    "routing_key": _call(routing_key="media.video"),
    "priority": _call(priority=9),
    "base": _option(base=object),
    "store_errors_even_if_ignored": _option(store_errors_even_if_ignored=True),
    "shadow": _call(shadow="other"),
    "time_limit of a call": _call(soft_time_limit=3),
    "producer": _call(producer=object()),
    "link with task_id": lambda app, add: add.apply_async((1, 2), link=add.s(3), task_id="x"),
    "countdown in a canvas": lambda app, add: chain(add.s(1, 2), add.s(3).set(countdown=9)).delay(),
    "link in a canvas": lambda app, add: group(add.s(1, 2)).set(link=add.s(3)).delay(),
    "link_error in a canvas": lambda app, add: add.apply_async(
        (1, 2), link_error=[add.s(3), add.s(4)]
    ),
    "Task.replace": lambda app, add: add.replace(add.s(1, 2)),
    "Task.add_to_chord": lambda app, add: add.add_to_chord(add.s(1, 2)),
    "delay_on_commit": lambda app, add: add.delay_on_commit(1, 2),
    "all of Celery's request": lambda app, add: add.request.hostname,
    "retry with other arguments": _retry(args=(3, 4)),
    "retry with options": _retry(queue="other"),
    "retry(throw=False)": _retry(throw=False),
    "terminate": lambda app, add: app.control.revoke("id", terminate=True),
    "children": _result("children"),
    "collect": _result("collect"),
    "iterdeps": _result("iterdeps"),
    "get_leaf": _result("get_leaf"),
    "build_graph": _result("graph"),
    "then": _result("then"),
    "revoke_by_stamped_headers": _result("revoke_by_stamped_headers"),
    "callback of get": lambda app, add: AsyncResult("id").get(callback=print),
    "StampingVisitor": _name("StampingVisitor"),
    "stamp": lambda app, add: add.s(1, 2).stamp(header="x"),
    "skew": lambda app, add: group(add.s(1, 2)).skew(1, 10),
    "chunks of more than 100000": lambda app, add: add.chunks([(1, 2)] * 100_001, 10),
    "worker_main": _app("worker_main"),
    "start": _app("start"),
    "Worker": _app("Worker"),
    "control": lambda app, add: app.control.inspect(),
    "events": _app("events"),
    "pool": _app("pool"),
    "connection": _app("connection_for_write"),
    "amqp": _app("amqp"),
    "backend": _app("backend"),
    "autodiscover_tasks without packages": lambda app, add: app.autodiscover_tasks(),
    "rpc": lambda app, add: Celery("x", backend="rpc://"),
    "another result backend": lambda app, add: Celery("x", backend="redis://localhost"),
    "another broker": lambda app, add: Celery("x", broker="amqp://guest@localhost//"),
    "task_always_eager": lambda app, add: app.conf.update(task_always_eager=True),
    "Task": _name("Task"),
    "signals": _name("signals"),
    "bootsteps": _name("bootsteps"),
    "solar": _name("solar"),
    "current_task": _name("current_task"),
    "crontab with days of both kinds": lambda app, add: crontab(**DAYS),
    "relative schedule": _schedule(schedule=9, relative=True),
    "schedule of another kind": _schedule(schedule=object()),
}
ELSEWHERE = {"retry beyond max_retries", "kombu message", "options of a schedule"}
"""What is met in a worker, and tested there (test_tasks.py, test_beat.py, and below)."""


def test_each_of_the_table_is_met_here() -> None:
    assert MET.keys() | ELSEWHERE == REFUSED.keys()
    assert MET.keys() & ELSEWHERE == set()


@pytest.mark.parametrize("what", MET)
def test_it_is_refused_with_what_to_use(what: str, app: Celery, taskflow_broker: Broker) -> None:
    add = app.task(name="add")(lambda x, y: x + y)
    Worker(taskflow_broker, registry=app.registry)
    with pytest.raises(NotPorted) as refused:
        MET[what](app, add)
    assert REFUSED[what] in str(refused.value)
    assert "taskflow.celery has no" in str(refused.value)
    assert taskflow_broker.counts("celery").visible == 0


@pytest.mark.parametrize(
    "trigger",
    [
        _option(serializer="yaml"),
        _call(serializer="msgpack"),
        _option(acks_on_failure_or_timeout=False),
        _option(exchange="x"),
        _option(priority=3),
        lambda app, add: app.conf.update(task_routes={"a": {"exchange": "x"}}),
        lambda app, add: app.conf.update(task_queues={"a": {"routing_key": "x"}}) or _queue(app),
        lambda app, add: app.conf.update(accept_content=["pickle", "json"]),
        lambda app, add: chain(add.s(1, 2)).apply_async(countdown=3),
        lambda app, add: add.apply_async((1, 2), link=add.s(3), countdown=3),
        lambda app, add: app.control.broadcast("x"),
        lambda app, add: AsyncResult("id").revoke(signal="SIGKILL"),
    ],
)
def test_other_ways_to_the_same(
    trigger: Trigger, taskflow_registry: Registry, taskflow_broker: Broker
) -> None:
    app = Celery("proj", registry=taskflow_registry)
    add = Celery("tasks", registry=Registry()).task(name="add")(lambda x, y: x + y)
    with pytest.raises(NotPorted):
        trigger(app, add)


def _queue(app: Celery) -> Any:
    return app.task(name="t")(lambda: None)


# ---- messages of Celery -------------------------------------------------------------------------
def kombu_message(body: bytes = b"[[1, 2], {}, {}]") -> dict[str, Any]:
    """What kombu sends for a task, but for its many fields."""
    return {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": "add", "id": "5"},
        "properties": {"body_encoding": "base64", "delivery_info": {"routing_key": "celery"}},
    }


PLAIN = json.dumps(kombu_message())
SHORT = json.dumps(kombu_message(), separators=(",", ":"))
PICKLED = json.dumps(kombu_message(b"\x80\x04cos\nsystem\n(S'false'\ntR."))


@pytest.mark.parametrize(
    "body",
    [
        PLAIN,
        SHORT,
        PICKLED,
        base64.b64encode(PLAIN.encode()).decode(),
        base64.b64encode(SHORT.encode()).decode(),
    ],
)
def test_a_message_of_celery_is_a_dead_letter_that_says_so(
    body: str, app: Celery, taskflow_broker: Broker, drain: Callable[[], int]
) -> None:
    runs: list[Any] = []
    app.task(name="add")(lambda *given: runs.append(given))
    drain()
    taskflow_broker.send("celery", [Message("m1", body)])
    assert drain() == 1
    assert runs == []
    (letter,) = taskflow_broker.peek("celery-dlq", 10)
    record = json.loads(plain_text(letter.attributes[FAILURE]))
    assert "a message of Celery (kombu)" in record["reason"]
    assert record["error"] == f"taskflow.errors.{Reject.__name__}"
    assert letter.body == body


def test_a_message_that_only_looks_a_little_like_it(
    app: Celery, taskflow_broker: Broker, drain: Callable[[], int]
) -> None:
    app.task(name="add")(lambda: None)
    drain()
    taskflow_broker.send("celery", [Message("m1", '{"body": "a", "headers": {}}')])
    drain()
    assert taskflow_broker.counts("celery-dlq").visible == 0 or all(
        "Celery" not in plain_text(one.attributes[FAILURE])
        for one in taskflow_broker.peek("celery-dlq", 10)
    )


# ---- the package --------------------------------------------------------------------------------
def test_nothing_of_celery_is_imported() -> None:
    folder = Path(taskflow.celery.__file__).parent
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not [
                name
                for name in names
                if name.partition(".")[0] in ("celery", "kombu", "pickle", "base64")
            ], path


def test_the_public_names() -> None:
    for name in taskflow.celery.__all__:
        assert getattr(taskflow.celery, name) is not None
    with pytest.raises(AttributeError):
        _ = taskflow.celery.nosuch
