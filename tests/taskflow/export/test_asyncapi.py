"""The AsyncAPI document: valid by its own JSON Schema, with schemas that fit real messages."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from taskflow import Registry
from taskflow.event import Event
from taskflow.export import Place, export
from taskflow.export.asyncapi import asyncapi
from taskflow.export.plan import make_plan
from tests.taskflow.export.conftest import TOPICS

SCHEMA = json.loads((Path(__file__).parent / "asyncapi-3.0.0.schema.json").read_text())


@pytest.fixture
def document(registry: Registry) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(export(registry, "asyncapi", Place(prefix="staging-")))
    return read


def test_the_schema_of_asyncapi_finds_nothing(document: dict[str, Any]) -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(document)


def test_the_schema_would_find_something(document: dict[str, Any]) -> None:
    document["operations"]["files_1st_file"]["action"] = "eat"
    del document["channels"]["order.created"]["bindings"]["sns"]["name"]
    found = {error.path[-1] for error in jsonschema.Draft7Validator(SCHEMA).iter_errors(document)}
    assert found == {"files_1st_file", "order.created"}


def test_topics_are_channels_and_handlers_operations(document: dict[str, Any]) -> None:
    channels = document["channels"]
    assert {topic: one["address"] for topic, one in channels.items()} == {
        topic: f"staging-{name}" for topic, name in TOPICS.items()
    }
    assert len(document["operations"]) == 5
    one = document["operations"]["audit_order_created"]
    assert one["channel"] == {"$ref": "#/channels/order.created"}
    (work, letters) = one["bindings"]["sqs"]["queues"]
    assert work["redrivePolicy"]["deadLetterQueue"]["name"] == letters["name"]
    assert channels["ledger.posted.fifo"]["bindings"]["sns"]["ordering"] == {"type": "FIFO"}


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = []

    def walk(part: Any) -> None:
        if isinstance(part, dict):
            if "$ref" in part:
                found.append(part["$ref"])
            part = list(part.values())
        if isinstance(part, list):
            for one in part:
                walk(one)

    walk(document)
    assert found
    for reference in found:
        at: Any = document
        for name in reference.removeprefix("#/").split("/"):
            at = at[name]


@pytest.mark.parametrize(
    ("message", "payload", "fits"),
    [
        ("audit_order_created", {"order_id": "1", "items": [{"sku": "a"}]}, True),
        ("audit_order_created", {"order_id": 1, "items": []}, False),
        ("audit_order_created", {"order_id": "1", "items": [{"count": 2}]}, False),
        ("audit_dlq_order_created", {"card": {"last_digits": "42"}}, True),
        ("audit_dlq_order_created", {"card": {}}, False),
        ("ledger_fifo_ledger_posted_fifo", [{"price": 1.5}], True),
        ("ledger_fifo_ledger_posted_fifo", [{"sku": "a"}], False),
        ("audit_order_created_2", ["anything"], True),
    ],
)
def test_the_schema_of_a_payload_is_that_of_its_annotation(
    document: dict[str, Any], message: str, payload: Any, fits: bool
) -> None:
    topics = {
        one["channel"]["$ref"].rpartition("/")[2]: None
        for key, one in document["operations"].items()
        if key == message
    }
    (topic,) = topics
    body = Event(topic=topic, payload=payload, id="e1", time=0.0, group="g").message().body
    schema = {
        **document["components"]["messages"][message]["payload"],
        "components": document["components"],
    }
    assert jsonschema.Draft202012Validator(schema).is_valid(json.loads(body)) is fits
    assert not jsonschema.Draft202012Validator(schema).is_valid(payload), "no envelope"


def test_a_raw_body_has_no_envelope(document: dict[str, Any]) -> None:
    one = document["components"]["messages"]["files_1st_file"]
    assert (one["contentType"], one["payload"]) == ("text/plain", {"type": "string"})


def test_two_types_of_one_name_keep_apart(registry: Registry, document: dict[str, Any]) -> None:
    items = [name for name in document["components"]["schemas"] if name.endswith("Item")]
    assert len(items) == 2
    assert asyncapi(make_plan(registry, Place())) == export(registry, "asyncapi")


def test_a_handler_without_annotation_takes_anything() -> None:
    registry = Registry()
    registry.subscribe("made", queue="work")(partial(lambda event: None))
    document = json.loads(export(registry, "asyncapi"))
    (message,) = document["components"]["messages"].values()
    assert message["payload"]["allOf"][1]["properties"]["data"] == {}
