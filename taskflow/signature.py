"""What a handler wants: reads its signature once, at import."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from taskflow.errors import RegistrationError
from taskflow.event import Context, Event
from taskflow.payload import Decode, decoder

Handler = Callable[..., Any]
_AS_IT_IS: dict[type, Decode] = {bytes: bytes, str: lambda body: bytes(body).decode()}


class Signature(msgspec.Struct, frozen=True):
    """How to call a handler: the decoder of its payload, and what goes into each parameter.

    `payload` is the annotation of the payload.
    """

    decode: Decode
    takes: tuple[type | None, ...]  # Event, Context, or None for the payload, in order
    is_async: bool
    payload: Any = Any

    def arguments(self, context: Context) -> list[Any]:
        """The positional arguments for one run."""
        return [
            context
            if kind is Context
            else context.event
            if kind is Event
            else context.event.payload
            for kind in self.takes
        ]


def read_signature(handler: Handler, raw: bool = False) -> Signature:
    """What `handler` wants. With `raw` a payload annotated `str` or `bytes` is the body as it is.

    Raises RegistrationError, saying how to mend it, when no event can be given to `handler`.
    """
    name = getattr(handler, "__qualname__", repr(handler))
    if not callable(handler):
        raise RegistrationError(f"{name} is no function")
    if inspect.isclass(handler):
        raise RegistrationError(
            f"{name} is a class: making an instance handles nothing; subscribe a function, or an "
            "instance that has __call__"
        )
    if inspect.isgeneratorfunction(handler) or inspect.isasyncgenfunction(handler):
        raise RegistrationError(f"{name} is a generator, whose body would not run; do not yield")
    try:
        parameters = inspect.signature(handler).parameters.values()
        hints = get_type_hints(_annotated(handler), include_extras=True)
    except NameError as error:
        raise RegistrationError(
            f"{name}: the annotation {error.name!r} cannot be resolved; define the type at module "
            "level, above the handler"
        ) from error
    except (TypeError, ValueError) as error:
        raise RegistrationError(f"{name}: its signature cannot be read: {error}") from error
    takes: list[type | None] = []
    payload: Any = Any
    for parameter in parameters:
        if parameter.name in ("self", "cls") and not takes and parameter.name not in hints:
            raise RegistrationError(
                f"{name} is a method, and nobody knows of which object; subscribe a function, a "
                "@staticmethod, or a bound method (subscribe(…)(thing.method))"
            )
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise RegistrationError(
                f"{name}: {str(parameter).partition(':')[0]} cannot be filled; name what it takes"
            )
        if parameter.kind is parameter.KEYWORD_ONLY or (
            parameter.default is not parameter.empty and parameter.name not in hints
        ):
            if parameter.default is parameter.empty:
                raise RegistrationError(
                    f"{name}: keyword-only {parameter.name!r} needs a default; handlers are called "
                    "with an event and, if they ask for it, a Context"
                )
            continue
        annotation = hints.get(parameter.name, Any)
        if annotation is Context:
            takes.append(Context)
        elif parameter.default is not parameter.empty:
            continue
        elif annotation is Event or get_origin(annotation) is Event:
            takes.append(Event)
            payload = (get_args(annotation) or (Any,))[0]
        else:
            takes.append(None)
            payload = annotation
    if sum(kind is not Context for kind in takes) != 1 or takes.count(Context) > 1:
        raise RegistrationError(
            f"{name}: a handler takes one event, by its payload type or as Event, and one Context "
            "if it likes; for example (event: Event) or (order: OrderCreated, ctx: Context)"
        )
    try:
        decode = _AS_IT_IS[payload] if raw and payload in (str, bytes) else decoder(payload)
    except TypeError as error:
        raise RegistrationError(
            f"{name}: no JSON can become {payload!r}: {error}; use dict, a dataclass, TypedDict, "
            "msgspec Struct or pydantic model"
        ) from error
    is_async = inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
        getattr(handler, "__call__", None)  # noqa: B004 - an object with an async __call__
    )
    return Signature(decode, tuple(takes), is_async, payload)


def _annotated(handler: Any) -> Any:
    """Where a handler keeps its annotations: functions do themselves, objects in `__call__`."""
    while True:
        if isinstance(handler, functools.partial):
            handler = handler.func
        elif not inspect.isroutine(handler) and hasattr(handler, "__wrapped__"):
            handler = handler.__wrapped__  # a decorator that is an object
        else:
            return handler if inspect.isroutine(handler) else handler.__call__
