"""What the handlers expect of messages, as AsyncAPI 3.0 in JSON.

https://www.asyncapi.com/docs/reference/specification/v3.0.0
https://github.com/asyncapi/bindings/tree/master/sqs
"""

import json
import re
from typing import Any

import msgspec

from taskflow.export.plan import DLQ_RETENTION, Names, Plan, Queue
from taskflow.subscription import Subscription

SCHEMAS = "#/components/schemas/"
BINDING_SNS, BINDING_SQS = "0.1.0", "0.2.0"
_KEY = re.compile(r"[^A-Za-z0-9._-]+")

ENVELOPE: dict[str, Any] = {
    "type": "object",
    "description": "CloudEvents 1.0 in JSON.",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "minLength": 1},
        "type": {"type": "string", "minLength": 1},
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"type": "string"},
        "subject": {"type": "string"},
        "correlationid": {"type": "string"},
        "causationid": {"type": "string"},
        "traceparent": {"type": "string"},
    },
}


def asyncapi(plan: Plan) -> str:
    """A channel for each topic and an operation for each handler of it, with the schema of the
    payload as far as its annotation has one."""
    schemas = Schemas()
    keys = Names()
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for topic in plan.topics:
        ordering = {"ordering": {"type": "FIFO"}} if topic.fifo else {}
        sns = {"name": topic.name, **ordering, "bindingVersion": BINDING_SNS}
        channels[topic.topic] = {
            "address": topic.name,
            "title": topic.topic,
            "messages": {},
            "bindings": {"sns": sns},
        }
    for queue in plan.queues:
        for one in queue.subscriptions:
            key = keys.snake(queue.queue, one.topic)
            messages[key] = _message(one, schemas)
            channel = f"#/channels/{one.topic}"
            channels[one.topic]["messages"][key] = {"$ref": f"#/components/messages/{key}"}
            operations[key] = {
                "action": "receive",
                "channel": {"$ref": channel},
                "summary": f"{one.name} on queue {queue.queue}",
                "messages": [{"$ref": f"{channel}/messages/{key}"}],
                "bindings": {"sqs": _sqs(queue)},
            }
    document = {
        "asyncapi": "3.0.0",
        "info": {"title": "taskflow subscriptions", "version": "1.0.0"},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": {"CloudEvent": ENVELOPE, **schemas.found}},
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _message(one: Subscription, schemas: "Schemas") -> dict[str, Any]:
    payload = schemas.add(one)
    if one.raw:
        plain = one.signature.payload in (str, bytes)
        kind = "text/plain" if plain else "application/json"
        payload = {"type": "string"} if plain else payload
        return {"name": one.topic, "contentType": kind, "payload": payload}
    envelope = {
        "allOf": [
            {"$ref": f"{SCHEMAS}CloudEvent"},
            {"type": "object", "properties": {"type": {"const": one.topic}, "data": payload}},
        ]
    }
    return {
        "name": one.topic,
        "contentType": "application/cloudevents+json",
        "payload": envelope,
    }


def _sqs(queue: Queue) -> dict[str, Any]:
    fifo = {"fifoQueue": True} if queue.fifo else {}
    redrive = {"deadLetterQueue": {"name": queue.dlq}, "maxReceiveCount": queue.max_receives}
    work = {
        "name": queue.name,
        **fifo,
        "visibilityTimeout": queue.visibility_seconds,
        "messageRetentionPeriod": int(queue.settings.retention),
        "redrivePolicy": redrive,
    }
    letters = {"name": queue.dlq, **fifo, "messageRetentionPeriod": DLQ_RETENTION}
    return {"queues": [work, letters], "bindingVersion": BINDING_SQS}


class Schemas:
    """The JSON Schemas of payload types; `found` are the named ones, by their names."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def add(self, one: Subscription) -> Any:
        """The schema of a handler's payload; the one that takes anything when there is none."""
        annotation = one.signature.payload
        try:
            (schema,), named = msgspec.json.schema_components(
                [annotation], ref_template=SCHEMAS + "{name}"
            )
        except TypeError:
            schema, named = _of_pydantic(annotation)
        return self._merge(schema, {_key(name): body for name, body in named.items()}, one)

    def _merge(self, schema: Any, named: dict[str, Any], one: Subscription) -> Any:
        """Two types of one name in different modules get the handler's before theirs."""
        others = {name for name, body in named.items() if self.found.get(name, body) != body}
        moved = {name: f"{_key(one.name)}.{name}" for name in others}
        for name, body in named.items():
            self.found[moved.get(name, name)] = _point(body, moved)
        return _point(schema, moved)


def _of_pydantic(annotation: Any) -> tuple[Any, dict[str, Any]]:
    try:
        from pydantic import TypeAdapter
        from pydantic.errors import PydanticUserError
    except ImportError:
        return {}, {}
    try:
        schema = TypeAdapter(annotation).json_schema(ref_template=SCHEMAS + "{model}")
    except PydanticUserError:  # a type that has a validator and no schema
        return {}, {}
    return schema, schema.pop("$defs", {})


def _key(name: str) -> str:
    return _KEY.sub("_", name)


def _point(schema: Any, moved: dict[str, str]) -> Any:
    """The schema with its references in the form of `_key`, and following what was moved."""
    if isinstance(schema, list):
        return [_point(part, moved) for part in schema]
    if not isinstance(schema, dict):
        return schema
    pointed = {name: _point(part, moved) for name, part in schema.items()}
    target = schema.get("$ref")
    if isinstance(target, str) and target.startswith(SCHEMAS):
        name = _key(target.removeprefix(SCHEMAS))
        pointed["$ref"] = SCHEMAS + moved.get(name, name)
    return pointed
