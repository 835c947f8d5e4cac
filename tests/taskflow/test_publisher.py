"""publish and publish_many: ids, times, traces, and the default broker."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from taskflow import Broker, Event, Registry, publish, publish_many
from taskflow.errors import LimitExceeded, TopicNotFound
from taskflow.publisher import default_broker, using
from taskflow.testing import ManualClock, drain, memory_broker
from taskflow.topology import declare

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture(autouse=True)
def queue(taskflow_broker: Broker) -> str:
    """A queue `work` that takes `made` and `sold`."""
    taskflow_broker.create_queue("work")
    for topic in ("made", "sold"):
        taskflow_broker.create_topic(topic)
        taskflow_broker.subscribe(topic, "work")
    return "work"


def bodies(broker: Broker) -> list[dict[str, Any]]:
    return [json.loads(message.body) for message in broker.peek("work")]


# ---- ids and times ----------------------------------------------------------------------------
def test_publish_answers_a_uuid7_of_now(
    taskflow_broker: Broker, taskflow_clock: ManualClock
) -> None:
    event_id = publish("made", {"n": 1})
    assert uuid.UUID(event_id).int >> 80 == int(taskflow_clock.now() * 1000)
    (body,) = bodies(taskflow_broker)
    assert (body["id"], body["data"], body["type"]) == (event_id, {"n": 1}, "made")
    assert body["time"] == "2027-01-15T08:00:00.000000Z"


def test_the_same_id_on_the_same_topic_is_one_event(taskflow_broker: Broker) -> None:
    assert publish("made", 1, id="e1") == publish("made", 2, id="e1") == "e1"
    publish("sold", 1, id="e1")
    assert [body["type"] for body in bodies(taskflow_broker)] == ["made", "sold"]


def test_attributes_source_and_subject_travel(taskflow_broker: Broker) -> None:
    publish("made", 1, source="shop", subject="o1", attributes={"colour": "blue"})
    (message,) = taskflow_broker.peek("work")
    assert dict(message.attributes) == {"colour": "blue"}
    (body,) = bodies(taskflow_broker)
    assert (body["source"], body["subject"]) == ("shop", "o1")


@pytest.mark.parametrize("how", [{"delay": 10.0}, {"at": 1_800_000_010.0}])
def test_a_delayed_event_is_due_then(
    taskflow_broker: Broker, taskflow_clock: ManualClock, how: dict[str, float]
) -> None:
    publish("made", 1, **how)  # type: ignore[arg-type]
    taskflow_clock.advance(9.999)
    assert taskflow_broker.receive("work") == []
    taskflow_clock.advance(0.001)
    assert len(taskflow_broker.receive("work")) == 1


def test_a_time_in_the_past_is_due_now(taskflow_broker: Broker) -> None:
    publish("made", 1, at=5.0)
    assert len(taskflow_broker.receive("work")) == 1


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"delay": 1, "at": 5.0}, ValueError, "give delay or at, not both"),
        ({"id": ""}, ValueError, "id is empty"),
        ({"source": ""}, ValueError, "source is empty"),
        ({"delay": -1}, LimitExceeded, "delay is -1 s"),
        ({"delay": 345600}, LimitExceeded, "passes the retention of queue 'work'"),
        ({"payload": object()}, TypeError, "cannot be written as JSON"),
        ({"payload": "x" * 2**20}, LimitExceeded, "1048576 are allowed"),
        ({"attributes": {str(n): "x" for n in range(11)}}, LimitExceeded, "11 message attributes"),
        ({"topic": "nosuch"}, TopicNotFound, "known: made, sold"),
        ({"topic": "mad"}, TopicNotFound, "did you mean 'made'"),
    ],
)
def test_what_cannot_be_published_is_refused_and_nothing_is_stored(
    taskflow_broker: Broker, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        publish(**{"topic": "made", "payload": 1, **options})
    assert bodies(taskflow_broker) == []


@pytest.mark.parametrize("kind", [str, uuid.UUID])
def test_an_id_is_text_or_a_uuid(taskflow_broker: Broker, kind: Any) -> None:
    text = "01a21868-7c69-7727-81e3-638d7d3ad722"
    assert publish("made", 1, id=kind(text)) == text
    assert [body["id"] for body in bodies(taskflow_broker)] == [text]


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"id": 7}, TypeError, "id is 7, a int"),
        ({"id": "a\nb"}, ValueError, r"id holds U\+000A"),
        ({"subject": "\x1b[31m"}, ValueError, r"subject holds U\+001B"),
        ({"source": 5}, TypeError, "source is 5"),
        ({"correlation_id": "a\rb"}, ValueError, r"correlation_id holds U\+000D"),
        ({"at": datetime(2030, 1, 1)}, ValueError, "time zone"),
        ({"at": "tomorrow"}, TypeError, "at is 'tomorrow'"),
        ({"delay": float("inf")}, (ValueError, LimitExceeded), "inf"),
        ({"delay": float("nan")}, (ValueError, LimitExceeded), "nan"),
        ({"delay": "5"}, LimitExceeded, "delay is '5'"),
        ({"payload": {"n": [float("nan")]}}, ValueError, r"nan at \$\.n\[0\]"),
    ],
)
def test_an_argument_of_another_kind_is_named(
    taskflow_broker: Broker, options: dict[str, Any], kind: Any, message: str
) -> None:
    with pytest.raises(kind, match=message):
        publish(**{"topic": "made", "payload": 1, **options})
    assert bodies(taskflow_broker) == []


@pytest.mark.parametrize(
    "odd",
    [{"id": None}, {"id": 0}, {"source": None}, {"source": 0}, {"subject": 0}, {"traceparent": 0}],
)
def test_an_event_made_by_hand_has_text_where_text_belongs(
    taskflow_broker: Broker, odd: dict[str, Any]
) -> None:
    event = Event(**{"topic": "made", "payload": 1, "id": "a", "time": 0.0, **odd})
    with pytest.raises(TypeError, match=f"{next(iter(odd))} is (None|0), a .*; text is wanted"):
        publish_many([event])
    assert bodies(taskflow_broker) == []


def test_an_event_is_due_at_an_aware_time(
    taskflow_broker: Broker, taskflow_clock: ManualClock
) -> None:
    publish("made", 1, at=datetime.fromtimestamp(taskflow_clock.now() + 60, UTC))
    taskflow_clock.advance(59)
    assert taskflow_broker.receive("work") == []
    taskflow_clock.advance(1)
    assert len(taskflow_broker.receive("work")) == 1


def test_publish_says_how_many_it_reached(taskflow_broker: Broker) -> None:
    taskflow_broker.create_topic("lonely")
    assert publish("made", 1).reached == 1
    assert publish("lonely", 1).reached == 0
    ids = publish_many(
        [
            Event(topic="made", payload=1, id="a", time=0.0),
            Event(topic="lonely", payload=1, id="b", time=0.0),
        ]
    )
    assert [one.reached for one in ids] == [1, 0]


def test_an_id_that_publish_answered_can_be_sent_on(taskflow_broker: Broker) -> None:
    """A subclass of str, which msgspec alone would not write."""
    first = publish("made", 1)
    publish("made", {"after": first, "all": [first]}, correlation_id=first)
    publish("sold", 1, id=first)
    _, second, third = bodies(taskflow_broker)
    assert second["data"] == {"after": str(first), "all": [str(first)]}
    assert (second["correlationid"], third["id"]) == (str(first), str(first))
    assert taskflow_broker.finished("work", {(first, "made")}) == set()


def test_what_sqs_cannot_carry_arrives_all_the_same(taskflow_broker: Broker) -> None:
    publish("made", "a\uffff\ufffeb")
    assert [body["data"] for body in bodies(taskflow_broker)] == ["a\uffff\ufffeb"]


# ---- traces -----------------------------------------------------------------------------------
def test_outside_a_handler_a_trace_begins(taskflow_broker: Broker) -> None:
    publish("made", 1)
    publish("made", 2)
    one, two = bodies(taskflow_broker)
    assert one["traceparent"].split("-")[1] != two["traceparent"].split("-")[1]
    assert "correlationid" not in one
    assert "causationid" not in one


def test_a_trace_given_is_continued(taskflow_broker: Broker) -> None:
    publish("made", 1, traceparent=f"00-{TRACE}-{SPAN}-00", correlation_id="c1")
    (body,) = bodies(taskflow_broker)
    version, trace, span, flags = body["traceparent"].split("-")
    assert (version, trace, flags, body["correlationid"]) == ("00", TRACE, "00", "c1")
    assert span != SPAN


@pytest.mark.parametrize(("given", "correlation"), [(None, "e1"), ("c1", "c1")])
@pytest.mark.parametrize("is_async", [False, True])
def test_inside_a_handler_the_trace_and_correlation_go_on(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    given: str | None,
    correlation: str,
    is_async: bool,
) -> None:
    def sell(event: Event[Any]) -> None:
        publish("sold", event.payload)

    async def sell_async(event: Event[Any]) -> None:
        sell(event)

    taskflow_registry.subscribe("made", queue="sales")(sell_async if is_async else sell)
    declare(taskflow_broker, taskflow_registry)
    publish("made", 1, id="e1", correlation_id=given)
    drain(taskflow_broker, taskflow_registry)
    made, sold = bodies(taskflow_broker)
    assert (sold["correlationid"], sold["causationid"]) == (correlation, "e1")
    assert sold["traceparent"].split("-")[1] == made["traceparent"].split("-")[1]
    assert sold["traceparent"].split("-")[2] != made["traceparent"].split("-")[2]


# ---- many -------------------------------------------------------------------------------------
def event(topic: str, id: str, payload: Any = 1) -> Event[Any]:
    return Event(topic=topic, payload=payload, id=id, time=1000.0)


def test_publish_many_answers_the_ids_in_order(taskflow_broker: Broker) -> None:
    events = [event("made", "1"), event("sold", "2"), event("made", "3")]
    assert publish_many(iter(events)) == ["1", "2", "3"]
    assert [body["id"] for body in bodies(taskflow_broker)] == ["1", "3", "2"]


def test_publish_many_of_nothing_is_nothing(taskflow_broker: Broker) -> None:
    assert publish_many([]) == []
    assert bodies(taskflow_broker) == []


def test_the_events_of_a_topic_are_stored_together_or_not_at_all(taskflow_broker: Broker) -> None:
    with pytest.raises(LimitExceeded):
        publish_many([event("made", "1"), event("made", "2", "x" * 2**20)])
    assert bodies(taskflow_broker) == []


def test_topics_before_the_one_that_fails_are_stored(taskflow_broker: Broker) -> None:
    with pytest.raises(TopicNotFound):
        publish_many([event("made", "1"), event("nosuch", "2"), event("sold", "3")])
    assert [body["id"] for body in bodies(taskflow_broker)] == ["1"]


# ---- which broker -----------------------------------------------------------------------------
@pytest.fixture
def other() -> Iterator[Broker]:
    opened = memory_broker()
    yield opened
    opened.close()


def test_using_makes_a_broker_the_default_inside_the_block(
    taskflow_broker: Broker, other: Broker
) -> None:
    with using(other) as given:
        assert default_broker() is other is given
    assert default_broker() is taskflow_broker


def test_using_restores_the_default_after_an_error(taskflow_broker: Broker, other: Broker) -> None:
    with pytest.raises(ZeroDivisionError), using(other):
        raise ZeroDivisionError
    assert default_broker() is taskflow_broker


def test_a_broker_may_be_handed_in(taskflow_broker: Broker, other: Broker) -> None:
    other.create_topic("elsewhere")
    publish("elsewhere", 1, broker=other)
    assert publish_many([event("elsewhere", "1")], broker=other) == ["1"]
    assert bodies(taskflow_broker) == []


def test_the_default_broker_is_opened_once_at_first_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "broker.db"
    monkeypatch.setenv("TASKFLOW_BROKER", f"sqlite:///{file}")
    with using(None):  # type: ignore[arg-type]
        assert not file.exists()
        with pytest.raises(TopicNotFound):
            publish("made", 1)
        assert file.exists()
        opened = default_broker()
        assert default_broker() is opened
        opened.close()


# ---- FIFO topics ------------------------------------------------------------------------------
@pytest.fixture
def fifo(taskflow_broker: Broker) -> str:
    """A topic `made.fifo` with a queue `work.fifo`."""
    taskflow_broker.create_topic("made.fifo")
    taskflow_broker.create_queue("work.fifo")
    taskflow_broker.subscribe("made.fifo", "work.fifo")
    return "made.fifo"


def test_events_of_a_group_are_stored_in_the_order_of_publishing(
    taskflow_broker: Broker, fifo: str
) -> None:
    publish(fifo, 1, id="e1", group="o1")
    events = [
        Event(topic=fifo, payload=number, id=f"e{number}", time=0.0, group="o1")
        for number in (3, 2)
    ]
    assert publish_many(events) == ["e3", "e2"]
    stored = taskflow_broker.peek("work.fifo")
    assert [(one.id, one.group) for one in stored] == [("e1", "o1"), ("e3", "o1"), ("e2", "o1")]


def test_the_same_id_on_a_fifo_topic_is_one_event_after_its_end_too(
    taskflow_broker: Broker, fifo: str
) -> None:
    publish(fifo, 1, id="e1", group="o1")
    taskflow_broker.purge("work.fifo")
    publish(fifo, 2, id="e1", group="o1")
    assert taskflow_broker.counts("work.fifo").visible == 0


def test_a_fifo_topic_wants_a_group_of_each_event(taskflow_broker: Broker, fifo: str) -> None:
    with pytest.raises(LimitExceeded, match=r"topic 'made.fifo' is FIFO: a message needs a group"):
        publish(fifo, 1)
    good, bad = (
        Event(topic=fifo, payload=1, id=id, time=0.0, group=group)
        for id, group in (("e1", "o1"), ("e2", None))
    )
    with pytest.raises(LimitExceeded, match="needs a group"):
        publish_many([good, bad])
    assert taskflow_broker.counts("work.fifo").visible == 0


@pytest.mark.parametrize("group", ["", "an order", "o" * 129])
def test_a_group_that_is_none_is_refused(fifo: str, group: str) -> None:
    with pytest.raises(LimitExceeded, match=r"the message group is .*; 1 to 128 letters"):
        publish(fifo, 1, group=group)


def test_a_delay_on_a_fifo_queue_is_refused(taskflow_broker: Broker, fifo: str) -> None:
    with pytest.raises(LimitExceeded, match="its messages have no delays of their own"):
        publish(fifo, 1, group="o1", delay=5)
    assert taskflow_broker.counts("work.fifo").delayed == 0
