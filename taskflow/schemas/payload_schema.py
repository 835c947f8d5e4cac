"""The payload types of handlers and tasks as JSON schemas."""

from collections.abc import Iterator, Sequence
from inspect import Parameter
from typing import Any, Literal, get_type_hints

import msgspec

from taskflow.registry import Registry
from taskflow.tasks.task_entry import TaskEntry


class PayloadSchema(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one handler of an event, or one task, takes. `name` is the topic, or the task's name;
    an event has its `queue`. Of a task the schema is an object of its parameters, `positional` are
    those that may be given by place, in order, and `aliases` its names of before."""

    kind: Literal["event", "task"]
    name: str
    queue: str = ""
    handler: str
    positional: Sequence[str] = ()
    aliases: Sequence[str] = ()
    payload: dict[str, Any]

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is matched by."""
        return (self.kind, self.name, self.queue)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}{f' on {self.queue}' if self.queue else ''}"


def schemas_of(registry: Registry) -> Sequence[PayloadSchema]:
    """Those of a registry, sorted. Whatever order it was filled in, they are the same."""
    found = {one.key: one for one in (*_events(registry), *_tasks(registry))}
    return [found[key] for key in sorted(found)]


def _events(registry: Registry) -> Iterator[PayloadSchema]:
    for one in registry:
        taken = one.signature.payload
        as_it_is = one.raw and taken in (str, bytes)
        yield PayloadSchema(
            kind="event",
            name=one.topic,
            queue=one.queue,
            handler=one.name,
            payload={} if as_it_is else _schema(taken),
        )


def _tasks(registry: Registry) -> Iterator[PayloadSchema]:
    for queue in registry.queues():
        for one in registry.on(queue):
            if isinstance(one, TaskEntry):
                yield PayloadSchema(
                    kind="task",
                    name=one.name,
                    handler=one.name,
                    positional=list(one.parameters.positions),
                    aliases=list(one.aliases),
                    payload=_arguments(one),
                )


def _arguments(entry: TaskEntry) -> dict[str, Any]:
    """The parameters of a task as an object; `*args` as an array of that name."""
    hints = get_type_hints(entry.handler, include_extras=True)
    properties: dict[str, Any] = {}
    required: list[str] = []
    others: dict[str, Any] | bool = False
    types: dict[str, Any] = {}
    for name, parameter in entry.parameters.signature.parameters.items():
        schema = _own_types(name, _schema(hints.get(name, Any)))
        types |= schema.pop("$defs", {})
        if parameter.kind is Parameter.VAR_KEYWORD:
            others = schema
        elif parameter.kind is Parameter.VAR_POSITIONAL:
            properties[f"*{name}"] = {"type": "array", "items": schema}
        else:
            properties[name] = schema
            if parameter.default is parameter.empty:
                required.append(name)
    found: dict[str, Any] = {"type": "object", "properties": properties}
    found |= {"required": required, "additionalProperties": others}
    return {**found, "$defs": types} if types else found


def _own_types(parameter: str, schema: dict[str, Any]) -> dict[str, Any]:
    """With the names of the types in it made those of its parameter: two may have one of a name."""
    text = msgspec.json.encode(schema).replace(b'"#/$defs/', f'"#/$defs/{parameter}.'.encode())
    found: dict[str, Any] = msgspec.json.decode(text)
    if types := found.get("$defs"):
        found["$defs"] = {f"{parameter}.{name}": one for name, one in types.items()}
    return found


def _schema(annotation: Any) -> dict[str, Any]:
    """A type as msgspec or pydantic writes it; whichever reads the payload."""
    try:
        return msgspec.json.schema(annotation)
    except TypeError:
        from pydantic import TypeAdapter  # the type is one of its models, or holds one

        adapter: TypeAdapter[Any] = TypeAdapter(annotation)
        return adapter.json_schema(mode="validation")
