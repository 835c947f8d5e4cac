"""What a change of a payload's type does to what waits, and to older workers."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import pytest
from pydantic import BaseModel

from taskflow import Registry
from taskflow.errors import ConfigError
from taskflow.schemas.comparing import compare_schemas
from taskflow.schemas.payload_schema import PayloadSchema, schemas_of
from taskflow.tasks.decorator import task


def schema(annotation: Any) -> PayloadSchema:
    def handle(event: Any) -> None: ...

    handle.__annotations__["event"] = annotation
    registry = Registry()
    registry.subscribe("made", queue="work")(handle)
    (found,) = schemas_of(registry)
    return found


def compared(before: Any, after: Any) -> list[tuple[str, str, str]]:
    found = compare_schemas([schema(before)], [schema(after)])
    return [(one.effect, one.path, one.what) for one in found]


def struct(name: str = "Order", /, **options: Any) -> Callable[..., Any]:
    """A type: `struct()(a=int, b=(int, 0))`, the second with a default."""

    def make(**fields: Any) -> Any:
        listed = [
            (name, *one) if isinstance(one, tuple) else (name, one) for name, one in fields.items()
        ]
        return msgspec.defstruct(name, sorted(listed, key=len), kw_only=True, **options)

    return make


class Tree(msgspec.Struct):
    value: int
    children: list["Tree"] = []


class Model(BaseModel):
    name: str
    size: int = 0


class LongerModel(BaseModel):
    name: str
    size: str


Circle, Square = struct("Circle", tag=True)(r=int), struct("Square", tag=True)(a=int)
order = struct()


@pytest.mark.parametrize(
    ("before", "after", "effect", "path", "words"),
    [
        (order(a=int), order(a=int, b=int), "breaking", "$.b", "must be there"),
        (order(a=int), order(a=int, b=(int, 0)), "compatible", "$.b", "may be left out"),
        (order(a=int, b=int), order(a=int), "breaking", "$.b", "older code needs it"),
        (order(a=int, b=(int, 0)), order(a=int), "compatible", "$.b", "nobody needed it"),
        (order(a=(int, 0)), order(a=int), "breaking", "$.a", "must be there now"),
        (order(a=int), order(a=int | None), "careful", "$.a", "it takes null, too"),
        (order(a=int | None), order(a=int), "breaking", "$.a", "it takes no null any more"),
        (order(a=int), order(a=str), "breaking", "$.a", "it takes no integer any more"),
        (order(a=int), order(a=float), "careful", "$.a", "was a whole number, and is any now"),
        (order(a=float), order(a=int), "breaking", "$.a", "it takes no number any more"),
        (order(a=Any), order(a=int), "breaking", "$.a", "it was anything, and is integer now"),
        (order(a=int), order(a=Any), "careful", "$.a", "is anything now"),
        (Literal["a", "b"], Literal["a"], "breaking", "$", "it may not be 'b' any more"),
        (Literal["a"], Literal["a", "b"], "careful", "$", "it may be 'b', too"),
        (str, Literal["a"], "breaking", "$", "it is one of 'a' only, now"),
        (Literal["a"], str, "careful", "$", "any value of its type"),
        (list[int], list[str], "breaking", "$[]", "no integer any more"),
        (dict[str, int], dict[str, str], "breaking", "$.*", "no integer any more"),
        (tuple[int, str], tuple[int, int], "breaking", "$[1]", "no string any more"),
        (
            Annotated[int, msgspec.Meta(le=9)],
            Annotated[int, msgspec.Meta(le=5)],
            *("breaking", "$", "maximum was 9, and is 5"),
        ),
        (
            Annotated[str, msgspec.Meta(min_length=2)],
            str,
            *("careful", "$", "minLength was 2, and is none"),
        ),
        (
            Annotated[str, msgspec.Meta(min_length=2)],
            Annotated[str, msgspec.Meta(min_length=3)],
            *("breaking", "$", "minLength was 2, and is 3"),
        ),
        (
            str,
            Annotated[str, msgspec.Meta(pattern="^a")],
            *("breaking", "$", "pattern was none, and is ^a"),
        ),
        (order(a=int), struct(forbid_unknown_fields=True)(a=int), "breaking", "$", "are refused"),
        (
            struct(forbid_unknown_fields=True)(a=int),
            struct(forbid_unknown_fields=True)(a=int, b=(int, 0)),
            *("careful", "$.b", "older code refuses what it does not know"),
        ),
        (Circle | Square, Circle, "breaking", "$", "any more"),
        (Circle, Circle | Square, "careful", "$", "too"),
        (Model, LongerModel, "breaking", "$.size", "must be there now"),
        (order(a=Tree), order(a=dict[str, int]), "breaking", "$.a.value", "the field is gone"),
    ],
)
def test_each_kind_of_change_is_named(
    before: Any, after: Any, effect: str, path: str, words: str
) -> None:
    assert [one for one in compared(before, after) if one[:2] == (effect, path) and words in one[2]]


@pytest.mark.parametrize("same", [Tree, Model, Any, Circle | Square, dict[str, Any], int | None])
def test_what_is_the_same_differs_in_nothing(same: Any) -> None:
    assert compared(same, same) == []


def test_the_worst_comes_first_and_a_type_that_holds_itself_ends() -> None:
    found = compared(order(t=Tree), order(t=Tree, u=(int, 0), v=int))
    assert [one[0] for one in found] == ["breaking", "compatible"]


def tasks(*functions: Any, **options: Any) -> list[PayloadSchema]:
    registry = Registry()
    for function in functions:
        task(queue="work", registry=registry, name="shop.add", **options)(function)
    return [*schemas_of(registry)]


def test_calls_of_tasks_are_compared_by_name_and_place() -> None:
    def add(x: int, y: Tree) -> None: ...
    def turned(y: Tree, x: int) -> None: ...
    def wider(x: int, y: Tree, z: int = 0, *more: int) -> None: ...
    def fewer(x: int) -> None: ...

    def changes(after: Any, before: Any = add) -> list[tuple[str, str]]:
        return [(one.effect, one.path) for one in compare_schemas(tasks(before), tasks(after))]

    assert changes(add) == []
    assert changes(turned) == [("breaking", "$.x"), ("breaking", "$.y")]
    assert changes(wider) == [("careful", "$.*more"), ("careful", "$.z")]
    assert changes(fewer) == [("breaking", "$.y")]


def test_a_task_that_is_gone_breaks_what_waits_unless_it_has_another_name() -> None:
    def add(x: int) -> None: ...

    registry = Registry()
    task(queue="work", registry=registry, name="shop.plus", aliases=["shop.add"])(add)
    renamed = schemas_of(registry)
    assert [str(one) for one in compare_schemas(tasks(add), renamed)] == [
        "compatible: task shop.add at $: it is called shop.plus now"
    ]
    assert [str(one) for one in compare_schemas(tasks(add), [schema(int)])] == [
        "breaking: task shop.add at $: nobody takes it any more: what waits is dead-lettered",
        "compatible: event made on work at $: it is new",
    ]


def test_what_is_no_schema_is_refused() -> None:
    deep: dict[str, Any] = {"type": "integer"}
    for _ in range(500):
        deep = {"type": "array", "items": deep}
    circle = {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}
    union = {"$ref": "#/$defs/A", "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}]}}}
    bad: dict[str, Any] = {"type": "object", "properties": 5}
    for payload in ({"$ref": "#/$defs/Lost"}, circle, union, deep, bad, {"minimum": "x", **bad}):
        one = msgspec.structs.replace(schema(int), payload=payload)
        other = msgspec.structs.replace(schema(int), payload=msgspec.to_builtins(payload))
        with pytest.raises(ConfigError, match="a schema"):
            compare_schemas([one], [other])
