"""Payloads: any value out as JSON, the handler's annotated type back in."""

import dataclasses
import enum
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, NotRequired, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest
from freezegun import freeze_time

from taskflow.errors import DecodeError
from taskflow.payload import decoder, encode, encode_each

SECRET = "4242424242424242"


@dataclasses.dataclass
class Order:
    order_id: str
    cents: int = 0


class OrderDict(TypedDict):
    order_id: str
    cents: NotRequired[int]


class OrderStruct(msgspec.Struct):
    order_id: str
    cents: int = 0


class OrderModel(pydantic.BaseModel):
    order_id: str
    cents: int = 0


@pydantic.dataclasses.dataclass
class OrderPydantic:
    order_id: str
    cents: int = 0


@dataclasses.dataclass
class Basket:
    orders: list[OrderModel]
    best: OrderModel | None = None


class Colour(enum.Enum):
    RED = "red"


class Paid(msgspec.Struct, tag="paid"):
    cents: int


class Declined(msgspec.Struct, tag="declined"):
    reason: str


class Card(pydantic.BaseModel):
    kind: Literal["card"]


class Cash(pydantic.BaseModel):
    kind: Literal["cash"]


class Payment(pydantic.BaseModel):
    means: Card | Cash = pydantic.Field(discriminator="kind")


def decode(annotation: Any, text: str) -> Any:
    return decoder(annotation)(msgspec.Raw(text.encode()))


@pytest.mark.parametrize("kind", [Order, OrderDict, OrderStruct, OrderModel, OrderPydantic])
def test_every_kind_of_type_comes_back_as_itself(kind: Any) -> None:
    value = kind(order_id="o1", cents=5)
    assert decode(kind, encode(value).decode()) == value


@pytest.mark.parametrize("kind", [Order, OrderDict, OrderStruct, OrderModel, OrderPydantic])
def test_unknown_fields_are_ignored(kind: Any) -> None:
    assert decode(kind, '{"order_id": "o1", "new": 1}') == kind(order_id="o1") or kind is OrderDict


@pytest.mark.parametrize("kind", [Order, OrderDict, OrderStruct, OrderModel, OrderPydantic])
def test_bad_data_is_refused_with_the_place_and_without_the_value(kind: Any) -> None:
    with pytest.raises(DecodeError, match=r"the payload does not fit.*\$\.cents") as caught:
        decode(kind, f'{{"order_id": "o1", "cents": "{SECRET}x"}}')
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(DecodeError, match="order_id"):
        decode(kind, "{}")


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (Colour, f'"{SECRET}"'),
        (Colour, f'"{SECRET} - at `$.x`"'),
        (Colour, f'"{SECRET} - at `$.x"'),
        (Literal["red"], f'"{SECRET}"'),
        (Literal[1, 2], SECRET),
        (Paid | Declined, f'{{"type": "{SECRET}"}}'),
        (dict[str, int], f'{{"{SECRET}": "x"}}'),
        (Payment, f'{{"means": {{"kind": "{SECRET}"}}}}'),
        (Annotated[str, msgspec.Meta(max_length=3)], f'"{SECRET}"'),
        (UUID, f'"{SECRET}"'),
        (datetime, f'"{SECRET}"'),
        (Decimal, f'"{SECRET}x"'),
        (str, SECRET),
    ],
)
def test_no_refusal_shows_the_value(annotation: Any, text: str) -> None:
    with pytest.raises(DecodeError, match="the payload does not fit") as caught:
        decode(annotation, text)
    assert SECRET not in str(caught.value)


def test_a_wrong_enum_value_names_its_place() -> None:
    with pytest.raises(DecodeError, match=r"Invalid enum value - at `\$\[1\]`"):
        decode(list[Colour], '["red", "blue"]')


@pytest.mark.parametrize("text", ["", "{", "nul", '"\ud800"', "[" * 100_000, "{} {}"])
@pytest.mark.parametrize("kind", [Any, OrderStruct, OrderModel])
def test_what_is_no_json_is_refused(kind: Any, text: str) -> None:
    with pytest.raises(DecodeError, match="the payload does not fit"):
        decoder(kind)(msgspec.Raw(text.encode(errors="surrogatepass")))


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (Paid | Declined, '{"type": "paid", "cents": 3}', Paid(3)),
        (Paid | Declined, '{"type": "declined", "reason": "x"}', Declined("x")),
        (int | str | None, "null", None),
        (OrderModel | None, '{"order_id": "o"}', OrderModel(order_id="o")),
        (Card | Cash, '{"kind": "cash"}', Cash(kind="cash")),
        (list[OrderModel], '[{"order_id": "o"}]', [OrderModel(order_id="o")]),
        (Basket, '{"orders": [], "best": null}', Basket([])),
        (Any, '{"a": [1, 2.5, null]}', {"a": [1, 2.5, None]}),
        (dict, "{}", {}),
    ],
)
def test_unions_and_nested_models(annotation: Any, text: str, value: Any) -> None:
    assert decode(annotation, text) == value


class Plain:
    pass


@pytest.mark.parametrize("annotation", [Plain, Plain | None, list[Plain], dict[str, Plain]])
def test_a_class_that_json_cannot_become_is_refused_early(annotation: Any) -> None:
    with pytest.raises(TypeError, match="Plain is a plain class"):
        decoder(annotation)


def test_a_type_that_names_itself_is_no_endless_walk() -> None:
    assert decode(Tree, '{"children": [{"children": []}]}') == Tree([Tree([])])


@dataclasses.dataclass
class Tree:
    children: "list[Tree]"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (date(2026, 1, 31), '"2026-01-31"'),
        (datetime(2026, 1, 31, 12, tzinfo=UTC), '"2026-01-31T12:00:00Z"'),
        (Decimal("1.10"), '"1.10"'),
        (Colour.RED, '"red"'),
        ([OrderModel(order_id="o")], '[{"order_id":"o","cents":0}]'),
    ],
)
def test_values_are_written_as_json(value: object, text: str) -> None:
    assert encode(value).decode() == text


@pytest.mark.parametrize("more", [[], [msgspec.Raw(b"[1,\n2]")], [msgspec.Raw(b"\n")]])
def test_many_are_written_as_each_is(more: list[Any]) -> None:
    values = [
        1,
        None,
        "a\nb",
        "null",
        {"n": [None]},
        OrderStruct("1"),
        OrderModel(order_id="ü"),
        *more,
    ]
    assert encode_each(values) == [encode(value).decode() for value in values]
    assert encode_each(more) == [encode(value).decode() for value in more]


def test_one_of_many_that_is_not_finite_is_refused_with_its_place() -> None:
    with pytest.raises(ValueError, match=r"holds inf at \$\.n"):
        encode_each([1, {"n": float("inf")}, 2])


def test_what_cannot_be_json_is_a_type_error_that_names_the_type() -> None:
    with pytest.raises(TypeError, match="a payload of type Plain cannot be written as JSON"):
        encode({"x": Plain()})


def test_a_frozen_date_can_be_sent_and_read() -> None:
    with freeze_time("2026-01-31T12:00:00Z"):
        text = encode({"at": datetime.now(UTC), "on": date.today()}).decode()  # noqa: TID251
    assert text == '{"at":"2026-01-31T12:00:00+00:00","on":"2026-01-31"}'
    assert decode(Moment, text) == Moment(datetime(2026, 1, 31, 12, tzinfo=UTC), date(2026, 1, 31))


class Moment(msgspec.Struct):
    at: datetime
    on: date
