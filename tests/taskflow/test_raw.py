"""Messages without an envelope of ours: `@subscribe(…, raw=True)`."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from taskflow import Broker, Event, Pool, Registry, Worker, publish
from taskflow.errors import DecodeError, NoHandler, RegistrationError
from taskflow.message import Attribute, Message
from taskflow.retry import Done
from taskflow.testing import ManualClock, drain
from taskflow.topology import declare
from tests.taskflow.making import cloud_event, failure

S3_EVENT = {
    "Records": [
        {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "photos"}, "object": {"key": "cat.jpg", "size": 9}},
        }
    ]
}


@dataclass
class Photo:
    key: str


@pytest.fixture
def subscribed(taskflow_broker: Broker, taskflow_registry: Registry) -> Callable[..., list[Any]]:
    """Subscribe a raw handler of this annotation; answers the events it will have seen."""

    def subscribed(annotation: Any, *topics: str, **options: Any) -> list[Any]:
        seen: list[Event[Any]] = []

        def handle(event: Event[Any]) -> None:
            seen.append(event)

        handle.__annotations__["event"] = Event[annotation]
        given = topics or ("uploaded",)
        taskflow_registry.subscribe(*given, **{"queue": "work", "raw": True, **options})(handle)
        declare(taskflow_broker, taskflow_registry)
        return seen

    return subscribed


@pytest.mark.parametrize(
    ("annotation", "body", "payload"),
    [
        (dict, json.dumps(S3_EVENT), S3_EVENT),
        (Any, "[1, 2]", [1, 2]),
        (Photo, '{"key": "cat.jpg", "size": 9}', Photo("cat.jpg")),
        (int, "7", 7),
        (str, "no JSON: é {", "no JSON: é {"),
        (str, '"quoted"', '"quoted"'),
        (bytes, "é{", "é{".encode()),
    ],
    ids=["s3", "any", "dataclass", "int", "text", "quoted text", "bytes"],
)
def test_the_payload_is_the_whole_body(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    subscribed: Callable[..., list[Any]],
    annotation: Any,
    body: str,
    payload: Any,
) -> None:
    seen = subscribed(annotation)
    taskflow_broker.send("work", [Message("m1", body)])
    drain(taskflow_broker, taskflow_registry)
    assert [event.payload for event in seen] == [payload]


def test_the_event_is_told_by_the_message(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    subscribed: Callable[..., list[Any]],
) -> None:
    seen = subscribed(dict)
    now = taskflow_clock.now()
    attributes: dict[str, str | Attribute] = {"shop": "7", "size": Attribute("Number", "9")}
    taskflow_broker.send("work", [Message("m1", "{}", attributes, group="g")])
    taskflow_clock.advance(5)
    drain(taskflow_broker, taskflow_registry)
    assert seen == [
        Event(
            topic="uploaded",
            payload={},
            id="m1",
            time=now,
            source="",
            attributes={"shop": "7", "size": "9"},
            group="g",
        )
    ]


def test_of_several_topics_nobody_knows_which_unless_the_broker_says(
    taskflow_broker: Broker, taskflow_registry: Registry, subscribed: Callable[..., list[Any]]
) -> None:
    seen = subscribed(dict, "uploaded", "removed")
    taskflow_broker.send("work", [Message("m1", "{}")])
    taskflow_broker.publish("removed", [Message("m2", "{}")])
    drain(taskflow_broker, taskflow_registry)
    assert [(event.id, event.topic) for event in seen] == [("m1", ""), ("m2", "removed")]


def test_a_foreign_envelope_is_only_a_body(
    taskflow_broker: Broker, taskflow_registry: Registry, subscribed: Callable[..., list[Any]]
) -> None:
    seen = subscribed(dict)
    body = cloud_event(type="com.example.uploaded")
    taskflow_broker.send("work", [Message("m1", json.dumps(body))])
    drain(taskflow_broker, taskflow_registry)
    assert [(event.id, event.payload) for event in seen] == [("m1", body)]


def test_what_another_topic_sends_is_not_for_it(
    taskflow_broker: Broker, taskflow_registry: Registry, subscribed: Callable[..., list[Any]]
) -> None:
    seen = subscribed(dict)
    taskflow_broker.create_topic("lost")
    taskflow_broker.subscribe("lost", "work")
    publish("lost", {}, broker=taskflow_broker)
    with pytest.raises(NoHandler, match="no handler for topic 'lost'"):
        drain(taskflow_broker, taskflow_registry)
    assert seen == []


def test_of_its_own_topic_an_event_comes_with_its_envelope(
    taskflow_broker: Broker, taskflow_registry: Registry, subscribed: Callable[..., list[Any]]
) -> None:
    seen = subscribed(dict)
    publish("uploaded", {"n": 1}, id="e1", broker=taskflow_broker)
    drain(taskflow_broker, taskflow_registry)
    (event,) = seen
    assert (event.id, event.payload["type"], event.payload["data"]) == ("e1", "uploaded", {"n": 1})


def test_beside_a_raw_handler_envelopes_find_theirs(
    taskflow_broker: Broker, taskflow_registry: Registry, subscribed: Callable[..., list[Any]]
) -> None:
    others: list[Event[Any]] = []

    def made(event: Event[Any]) -> None:
        others.append(event)

    taskflow_registry.subscribe("made", queue="work")(made)
    seen = subscribed(dict)
    taskflow_broker.send("work", [Message("m1", json.dumps(cloud_event(type="made", data=1)))])
    taskflow_broker.send("work", [Message("m2", "{}")])
    drain(taskflow_broker, taskflow_registry)
    assert [(event.id, event.payload) for event in others] == [("e1", 1)]
    assert [event.id for event in seen] == ["m2"]


def test_the_message_id_makes_it_idempotent(
    taskflow_broker: Broker, taskflow_registry: Registry, subscribed: Callable[..., list[Any]]
) -> None:
    seen = subscribed(dict, window=60)
    outcomes = []
    for _ in range(2):
        taskflow_broker.send("work", [Message("m1", "{}")])
        (run,) = drain(taskflow_broker, taskflow_registry)
        outcomes.append(run.outcome)
    assert outcomes == [Done(), Done(duplicate=True)]
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("annotation", "body", "reason"),
    [
        (Photo, '{"key": 7}', "the payload does not fit: Expected `str`, got `int` - at `$.key`"),
        (dict, "hello", "the payload does not fit: JSON is malformed"),
    ],
)
def test_a_body_that_does_not_fit_is_a_dead_letter(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    subscribed: Callable[..., list[Any]],
    annotation: Any,
    body: str,
    reason: str,
) -> None:
    seen = subscribed(annotation)
    taskflow_broker.send("work", [Message("m1", body)])
    drain(taskflow_broker, taskflow_registry, raise_errors=False)
    assert failure(taskflow_broker)["reason"].startswith(reason)
    assert failure(taskflow_broker)["attempts"] == 1
    assert seen == []


@pytest.mark.parametrize("topic", ["uploaded", ""], ids=["published", "sent"])
@pytest.mark.parametrize("body", [json.dumps(S3_EVENT), '{"specversion": "2.0"}', "hello"])
def test_without_raw_the_reason_names_it(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    subscribed: Callable[..., list[Any]],
    topic: str,
    body: str,
) -> None:
    seen = subscribed(dict, raw=False)
    if topic:
        taskflow_broker.publish(topic, [Message("m1", body)])
    else:
        taskflow_broker.send("work", [Message("m1", body)])
    with pytest.raises(DecodeError):
        drain(taskflow_broker, taskflow_registry)
    assert failure(taskflow_broker)["reason"].startswith("the body is no CloudEvents")
    assert failure(taskflow_broker)["reason"].endswith(
        "; @subscribe(…, raw=True) takes a body as it is"
    )
    assert seen == []


def test_step_takes_it(
    taskflow_broker: Broker, taskflow_registry: Registry, subscribed: Callable[..., list[Any]]
) -> None:
    seen = subscribed(dict)
    taskflow_broker.send("work", [Message("m1", "{}")])
    assert len(Worker(taskflow_broker, registry=taskflow_registry).step()) == 1
    assert [event.id for event in seen] == ["m1"]


@pytest.mark.parametrize("queue", ["work", "work.fifo"])
def test_a_pool_takes_it(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    subscribed: Callable[..., list[Any]],
    queue: str,
) -> None:
    seen = subscribed(dict, "uploaded.fifo" if queue == "work.fifo" else "uploaded", queue=queue)
    taskflow_broker.send(queue, [Message("m1", "{}", group="g", deduplication_id="1")])
    Pool(Worker(taskflow_broker, registry=taskflow_registry), burst=True).run()
    assert [event.id for event in seen] == ["m1"]


def test_a_queue_has_one_raw_handler(taskflow_registry: Registry) -> None:
    def first(event: dict[str, Any]) -> None: ...

    def second(event: dict[str, Any]) -> None: ...

    taskflow_registry.subscribe("uploaded", queue="work", raw=True)(first)
    with pytest.raises(RegistrationError, match=r"has a raw handler already: .*first; "):
        taskflow_registry.subscribe("removed", queue="work", raw=True)(second)
    taskflow_registry.subscribe("removed", queue="work")(second)
    taskflow_registry.subscribe("removed", queue="other", raw=True)(second)
