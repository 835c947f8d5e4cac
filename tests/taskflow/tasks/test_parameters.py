"""Arguments are decoded all at once where that can be, and come out as one by one."""

from dataclasses import dataclass, replace
from typing import Annotated, Any

import msgspec
import pytest
from pydantic import BaseModel

from taskflow.errors import DecodeError
from taskflow.tasks.parameters import Parameters, read_parameters
from taskflow.tasks.run import NO_KWARGS


@dataclass
class Point:
    x: int
    y: float = 0.5


class Model(BaseModel):
    a: int


def numbers(one: int, two: float, three: str) -> None: ...
def places(one: Point, two: list[Point], three: Point | None) -> None: ...
def anything(one, two: Any, three: msgspec.Raw) -> None: ...  # type: ignore[no-untyped-def]
def bounded(one: Annotated[int, msgspec.Meta(gt=0)], two: bytes, three: bool) -> None: ...
def nothing() -> None: ...


LISTS = [
    *("[]", "[1]", "[1,2,3,4]", '[1,2,"x"]', "[1,2.5,true]", '[1.0,2,"x"]', '["1",2,"x"]'),
    *('[{"x":1},[{"x":2,"y":3}],null]', '[{"x":1},[{"x":"2"}],null]', '[null,null,{"z":[1, 2]}]'),
    *(
        '[0,"aGk=",true]',
        '[1,"aGk=",false]',
        "{}",
        "[1,",
        "null",
        '[1,2,"\N{GRINNING FACE}"]',
        "\xff",
    ),
    *('["taskflow.sealed:x",2,"x"]', '[1,2,"taskflow.sealed:x"]', "[1,2,NaN]", f"[{'[' * 2000}]"),
]


def found(parameters: Parameters, args: str, kwargs: msgspec.Raw = NO_KWARGS) -> Any:
    """What is decoded, or why nothing is."""
    raw = msgspec.Raw(args.encode("latin-1" if args == "\xff" else "utf-8"))
    try:
        made = parameters.decode("task", raw, kwargs)
    except DecodeError as error:
        return type(error), str(error)
    return [one if not isinstance(one, msgspec.Raw) else bytes(one) for one in made.args], made[1]


@pytest.mark.parametrize("function", [numbers, places, anything, bounded, nothing])
@pytest.mark.parametrize("args", LISTS)
def test_all_at_once_is_as_one_by_one(function: Any, args: str) -> None:
    parameters = read_parameters(function, "task")
    assert parameters.whole is not None
    single = replace(parameters, whole=None)
    assert found(parameters, args) == found(single, args)
    empty = msgspec.Raw(b"{}")  # as rows hold it that were written before
    assert found(parameters, args, empty) == found(single, args)


def test_what_may_be_left_out_or_is_more_than_msgspec_makes_is_decoded_one_by_one() -> None:
    def optional(one: int, two: int = 2) -> None: ...
    def more(one: int, *others: int) -> None: ...
    def named(one: int, *, two: int) -> None: ...

    for function in (optional, more, named):
        assert read_parameters(function, "task").whole is None
    parameters = read_parameters(modelled_of(Model), "task")
    assert parameters.whole is None
    assert parameters.decode("task", msgspec.Raw(b'[{"a":1}]'), NO_KWARGS).args == [Model(a=1)]


def modelled_of(kind: type) -> Any:
    def modelled(one: Any) -> None: ...

    modelled.__annotations__["one"] = kind
    return modelled
