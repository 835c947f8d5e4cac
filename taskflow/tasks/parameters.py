"""What a task's function takes: checked when it is called, decoded when it runs."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, get_type_hints

import msgspec

from taskflow import payload as json
from taskflow.entry import Arguments
from taskflow.errors import DecodeError, RegistrationError
from taskflow.event import Context
from taskflow.tasks.call_options import MAX_KEY
from taskflow.tasks.run import NO_KWARGS

_read_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_NOTHING_NAMED = Arguments().kwargs
_by_position = partial(tuple.__new__, Arguments)
"""`Arguments` from both its fields, without a function of Python's around it."""
_read_dict = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of a task, without the one that takes the context.

    `least` and `most` are how many may be given by position, when that is all that is given.
    `context` is the name of the parameter that takes the context, and its place among those that
    may be given by position (None: it cannot be).
    """

    signature: inspect.Signature
    least: int
    most: float
    decoders: Mapping[str, json.Decode]
    positions: tuple[str, ...]
    others: json.Decode | None
    named_others: json.Decode | None
    context: tuple[str, int | None] | None
    returns: Any
    whole: json.Decode | None = None
    """Decodes all arguments at once, when they are given by position and none may be left out."""

    def check(self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise TypeError for a call that the function would not take."""
        if not kwargs and self.least <= len(args) <= self.most:
            return
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{task}{self.signature}: {error}") from None

    def key(
        self, task: str, names: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> str:
        """The values of these arguments as a key: text as it is, everything else as JSON. Raises
        TypeError for a call that the function would not take, ValueError for a long one."""
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{task}{self.signature}: {error}") from None
        bound.apply_defaults()
        values = [bound.arguments[name] for name in names]
        key = json.encode(values[0] if len(values) == 1 else values).decode()
        if key.startswith('"'):  # as text does, and whatever JSON makes text of
            key = msgspec.json.decode(key)
        if len(key) > MAX_KEY:
            raise ValueError(
                f"{', '.join(names)} of {task} has {len(key)} characters as a key; {MAX_KEY} are "
                "allowed"
            )
        return key

    def decode(
        self,
        task: str,
        args: msgspec.Raw,
        kwargs: msgspec.Raw,
        before: Sequence[msgspec.Raw] = (),
    ) -> Arguments:
        """The arguments in JSON, those `before` first, as the annotated types. Raises DecodeError
        for what does not fit the function as it is now."""
        if kwargs == NO_KWARGS:
            kwargs = NO_KWARGS
        if self.whole is not None and kwargs is NO_KWARGS and not before:
            json.refuse_sealed(args)
            try:
                return _by_position((self.whole(args), _NOTHING_NAMED))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                pass  # what is wrong is found one by one
        for raw in (args, *before) if kwargs is NO_KWARGS else (args, kwargs, *before):
            json.refuse_sealed(raw)
        try:
            given = [*before, *_read_list(args)] if before else _read_list(args)
            named = {} if kwargs is NO_KWARGS else _read_dict(kwargs)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise DecodeError(f"args is no list, or kwargs no object, of JSON: {error}") from None
        try:
            self.check(task, given, named)
        except TypeError as error:
            raise DecodeError(f"the arguments do not fit: {error}") from None
        made = [
            self._one(self.positions[at] if at < len(self.positions) else "", self.others, raw)
            for at, raw in enumerate(given)
        ]
        return Arguments(
            made, {name: self._one(name, self.named_others, raw) for name, raw in named.items()}
        )

    def fits(self, at: int, raw: msgspec.Raw) -> bool:
        """Whether this JSON can be the argument at that place (from 0)."""
        try:
            self._one(self.positions[at] if at < len(self.positions) else "", self.others, raw)
        except Exception:  # a type may have checks of its own
            return False
        return True

    def _one(self, name: str, otherwise: json.Decode | None, raw: msgspec.Raw) -> Any:
        decode = self.decoders.get(name) or otherwise
        assert decode is not None
        try:
            return decode(raw)
        except DecodeError as error:
            raise DecodeError(f"argument {name!r}: {error}") from None

    def with_context(self, arguments: Arguments, context: Context) -> Arguments:
        """The arguments, and the context, which is wanted."""
        assert self.context is not None
        name, place = self.context
        args = list(arguments.args)
        if place is None or len(args) < place:
            return Arguments(args, {**arguments.kwargs, name: context})
        args.insert(place, context)
        return Arguments(args, arguments.kwargs)


def read_parameters(function: Callable[..., Any], name: str) -> Parameters:
    """What `function` takes. Raises RegistrationError for what no message can call."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise RegistrationError(f"{name} is a generator, whose body would not run; do not yield")
    try:
        signature = inspect.signature(function)
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise RegistrationError(
            f"{name}: the annotation {error.name!r} cannot be resolved; define the type at module "
            "level, above the task"
        ) from error
    except (TypeError, ValueError) as error:
        raise RegistrationError(f"{name}: its signature cannot be read: {error}") from error
    decoders: dict[str, json.Decode] = {}
    positions: list[str] = []
    kept: list[inspect.Parameter] = []
    others = named_others = None
    context: tuple[str, int | None] | None = None
    for at, parameter in enumerate(signature.parameters.values()):
        annotation = hints.get(parameter.name, Any)
        if isinstance(annotation, type) and issubclass(annotation, Context):
            if context is not None:
                raise RegistrationError(f"{name} takes two contexts; one is there")
            by_name = parameter.kind is parameter.KEYWORD_ONLY
            context = (parameter.name, None if by_name else at)
            if parameter.kind is parameter.POSITIONAL_ONLY and at:
                raise RegistrationError(f"{name}: a positional-only context comes first")
            continue
        if parameter.name in ("self", "cls") and at == 0 and parameter.name not in hints:
            raise RegistrationError(
                f"{name} is a method, and nobody knows of which object; make a task of a function "
                "or of a @staticmethod (below it)"
            )
        kept.append(parameter)
        decode = _decoder(name, parameter.name, annotation)
        if parameter.kind is parameter.VAR_POSITIONAL:
            others = decode
        elif parameter.kind is parameter.VAR_KEYWORD:
            named_others = decode
        else:
            decoders[parameter.name] = decode
            if parameter.kind is not parameter.KEYWORD_ONLY:
                positions.append(parameter.name)
    without = signature.replace(parameters=kept)
    required = [one for one in kept if one.default is one.empty]
    named_only = any(one.kind is one.KEYWORD_ONLY for one in required)
    by_place = [one for one in required if one.name in positions]
    whole = None
    if not named_only and others is None and len(by_place) == len(positions):
        whole = json.list_decoder([hints.get(position, Any) for position in positions])
    return Parameters(
        without,
        2**31 if named_only else len(by_place),
        float("inf") if others is not None else len(positions),
        decoders,
        tuple(positions),
        others,
        named_others,
        context,
        hints.get("return", Any),
        whole,
    )


def _decoder(task: str, parameter: str, annotation: Any) -> json.Decode:
    try:
        return json.decoder(annotation, opened=True)
    except TypeError as error:
        raise RegistrationError(
            f"{task}: no JSON can become {parameter}: {annotation!r}: {error}; use dict, a "
            "dataclass, TypedDict, msgspec Struct or pydantic model"
        ) from error
