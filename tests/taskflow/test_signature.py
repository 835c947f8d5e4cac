"""What a handler may ask for, and what no event can fill."""

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from taskflow import Context, Event
from taskflow.errors import RegistrationError
from taskflow.signature import read_signature


@dataclass
class Order:
    order_id: str


class Service:
    def handle(self, order: Order) -> None: ...

    def __call__(self, order: Order) -> None: ...


class AsyncService:
    async def __call__(self, order: Order) -> None: ...


EVENT = Event(topic="t", payload=Order("o1"), id="e1", time=0.0)
CONTEXT: Any = SimpleNamespace(event=EVENT)


def payload(order: Order) -> None: ...
def anything(order) -> None: ...  # type: ignore[no-untyped-def]
def whole(event: Event) -> None: ...  # type: ignore[type-arg]
def typed(event: Event[Order]) -> None: ...
def both(event: Event[Order], ctx: Context) -> None: ...
def swapped(ctx: Context, order: Order) -> None: ...
def defaults(order: Order, retry: bool = False, *, log: str = "x") -> None: ...
def two(order: Order, left: int) -> None: ...
async def waits(order: Order) -> None: ...


@pytest.mark.parametrize(
    ("handler", "arguments"),
    [
        (payload, [EVENT.payload]),
        (anything, [EVENT.payload]),
        (whole, [EVENT]),
        (typed, [EVENT]),
        (both, [EVENT, CONTEXT]),
        (swapped, [CONTEXT, EVENT.payload]),
        (defaults, [EVENT.payload]),
        (waits, [EVENT.payload]),
        (Service().handle, [EVENT.payload]),
        (Service(), [EVENT.payload]),
        (functools.partial(two, left=1), [EVENT.payload]),
        (lambda order: None, [EVENT.payload]),
    ],
)
def test_a_handler_is_given_what_it_names(
    handler: Callable[..., Any], arguments: list[object]
) -> None:
    assert read_signature(handler).arguments(CONTEXT) == arguments


@pytest.mark.parametrize(
    "handler", [payload, typed, both, swapped, Service(), functools.partial(two, left=1)]
)
def test_the_payload_is_decoded_into_its_annotation(handler: Callable[..., Any]) -> None:
    assert read_signature(handler).decode(b'{"order_id": "o1"}') == Order("o1")  # type: ignore[arg-type]


@pytest.mark.parametrize("handler", [anything, whole, lambda order: None])
def test_without_an_annotation_it_is_plain_json(handler: Callable[..., Any]) -> None:
    assert read_signature(handler).decode(b'{"order_id": 1}') == {"order_id": 1}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("handler", "is_async"),
    [
        (payload, False),
        (waits, True),
        (Service(), False),
        (AsyncService(), True),
        (functools.partial(waits), True),
    ],
)
def test_an_async_handler_is_seen_as_one(handler: Callable[..., Any], is_async: bool) -> None:
    assert read_signature(handler).is_async is is_async


def nothing() -> None: ...
def context_only(ctx: Context) -> None: ...
def two_contexts(order: Order, one: Context, two: Context) -> None: ...
def event_twice(event: Event[Order], order: Order) -> None: ...
def args(*events: Order) -> None: ...
def kwargs(order: Order, **more: int) -> None: ...
def keyword(order: Order, *, log: str) -> None: ...
def plain_class(service: Service) -> None: ...
def unknown(order: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def generator(order: Order) -> Iterator[int]:
    yield 1


async def async_generator(order: Order) -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        (nothing, r"nothing: a handler takes one event.*for example \(event: Event\)"),
        (context_only, "a handler takes one event"),
        (two_contexts, "one Context if it likes"),
        (two, "a handler takes one event"),
        (event_twice, "a handler takes one event"),
        (args, r"args: \*events cannot be filled; name what it takes"),
        (kwargs, r"kwargs: \*\*more cannot be filled"),
        (keyword, "keyword-only 'log' needs a default"),
        (plain_class, "no JSON can become .*Service is a plain class; use dict, a dataclass"),
        (unknown, "the annotation 'Nowhere' cannot be resolved; define the type at module level"),
        (generator, "generator is a generator, whose body would not run"),
        (async_generator, "async_generator is a generator"),
        ("audit", "'audit' is no function"),
    ],
)
def test_what_no_event_can_fill_is_refused_with_the_way_out(handler: Any, message: str) -> None:
    with pytest.raises(RegistrationError, match=message):
        read_signature(handler)
