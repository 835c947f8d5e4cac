"""Spans of sends, receives, runs and settlements; how a trace goes on, and what it costs if off."""

from collections.abc import Callable
from configparser import ConfigParser
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from taskflow import Broker, Event, Registry, Reject, Worker, chain, publish, publish_many, task
from taskflow.telemetry import tracing
from taskflow.testing import ManualClock
from taskflow.wire.trace_header import header_parent, trace_header

Spans = Callable[[], list[Any]]
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def named(spans: list[Any], name: str) -> Any:
    (found,) = [one for one in spans if one.name == name]
    return found


def is_child(one: Any, other: Any) -> bool:
    """Of the same trace, too."""
    parent = one.parent
    return parent is not None and (parent.trace_id, parent.span_id) == (
        other.context.trace_id,
        other.context.span_id,
    )


def test_an_event_is_sent_received_processed_and_settled(
    taskflow_broker: Broker, taskflow_registry: Registry, spans: Spans
) -> None:
    @taskflow_registry.subscribe("made", queue="work", retries=1, backoff=0.0)
    def on_made(event: Event[int]) -> None:
        publish("followed", 1)
        if event.payload < 0:
            raise Reject("never")

    @taskflow_registry.subscribe("followed", queue="after")
    def on_followed(event: Event[int]) -> None: ...

    worker = Worker(taskflow_broker, registry=taskflow_registry)
    publish("made", -1, id="e1", traceparent=PARENT)
    worker.drain()
    found = spans()
    sent, process = named(found, "send made"), named(found, "process work")
    received, settled = named(found, "receive work"), named(found, "settle work")
    assert f"{sent.context.trace_id:032x}" in PARENT
    assert is_child(process, sent)
    assert is_child(named(found, "send followed"), process)
    assert is_child(named(found, "process after"), named(found, "send followed"))
    assert [one.kind.name for one in (sent, received, process, settled)] == [
        "PRODUCER",
        "CLIENT",
        "CONSUMER",
        "CLIENT",
    ]
    assert dict(process.attributes) == {
        "messaging.system": "taskflow",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "made",
        "messaging.destination.subscription.name": "work",
        "messaging.message.id": "e1",
        "taskflow.handler": on_made.__module__ + "." + on_made.__qualname__,
        "taskflow.attempt": 1,
        "taskflow.outcome": "dead",
        "error.type": "Reject",
    }
    assert process.status.status_code.name == "ERROR"
    for batch in (received, settled):
        assert batch.parent is None
        assert batch.attributes["messaging.batch.message_count"] == 1
        assert [link.context.span_id for link in batch.links] == [sent.context.span_id]


def test_a_task_carries_its_trace_through_delays_retries_and_plans(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    spans: Spans,
) -> None:
    seen: list[int] = []

    @task(queue="jobs", retries=1, backoff=1.0, result="1h", registry=taskflow_registry)
    def add(x: int, y: int) -> int:
        seen.append(x)
        if len(seen) == 1:
            raise ValueError("once")
        return x + y

    worker = Worker(taskflow_broker, registry=taskflow_registry)
    with tracing.sending("a caller"):
        chain(add.s(1, 2), add.s(3)).delay()
        add.options(delay="1h").delay(5, 6)
    for _ in range(3):
        worker.drain()
        taskflow_clock.advance(1800)
    worker.drain()
    found = spans()
    assert len(seen) == 4
    (trace_id,) = {
        one.context.trace_id for one in found if one.name in ("send jobs", "send a caller")
    }
    runs = [one for one in found if one.name == "process jobs"]
    assert {one.context.trace_id for one in runs} == {trace_id}
    assert [one.attributes["taskflow.outcome"] for one in runs] == ["retry", "done", "done", "done"]
    assert [one.attributes["taskflow.attempt"] for one in runs][:2] == [1, 2]


def test_several_are_one_span_with_links(taskflow_broker: Broker, spans: Spans) -> None:
    taskflow_broker.create_topic("made")
    events = [
        Event(topic="made", payload=1, id=f"e{number}", time=0.0, traceparent=parent)
        for number, parent in enumerate([PARENT, None, "00-junk"])
    ]
    publish_many(events)
    (sent,) = spans()
    assert (sent.name, sent.attributes["messaging.batch.message_count"]) == ("send made", 3)
    assert [f"{link.context.span_id:016x}" for link in sent.links] == ["b7ad6b7169203331"]


def test_without_tracing_an_event_has_a_trace_of_its_own(taskflow_broker: Broker) -> None:
    taskflow_broker.create_topic("made")
    assert tracing.carried() is None
    with tracing.sending("made"):
        publish("made", 1)


@pytest.mark.parametrize(
    ("traceparent", "header"),
    [
        (PARENT, "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1"),
        (
            PARENT[:-2] + "00",
            "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=0",
        ),
        (None, None),
    ],
)
def test_headers_of_aws_are_traceparents(traceparent: str | None, header: str | None) -> None:
    assert trace_header(traceparent) == header
    assert header_parent(header) == traceparent


@pytest.mark.parametrize("header", ["", "Root=1-0af76519-16cd43dd8448eb211c80319c", "x" * 9999])
def test_headers_that_name_no_span_are_none(header: str) -> None:
    assert header_parent(header) is None


def test_automatic_instrumentation_finds_it() -> None:
    pytest.importorskip("opentelemetry.trace")
    settings = ConfigParser(interpolation=None)
    settings.read(Path(__file__).parents[3] / "setup.cfg")
    named = settings["options.entry_points"]["opentelemetry_instrumentor"]
    name, value = (word.strip() for word in named.split("="))
    made = EntryPoint(name, value, "opentelemetry_instrumentor").load()()
    try:
        made.instrument(skip_dep_check=True)  # as it is called there
        assert tracing.active() is not None
    finally:
        made.uninstrument()
    assert tracing.active() is None
