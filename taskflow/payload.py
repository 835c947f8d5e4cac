"""Payloads as JSON: any value out, the handler's annotated type back in."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args

import msgspec
import msgspec.inspect

from taskflow.errors import DecodeError, PayloadSealed
from taskflow.text import LONE

T = TypeVar("T")
Decode = Callable[[msgspec.Raw], Any]
SEALED = "taskflow.sealed:"
"""What a JSON string begins with that is a sealed value (`taskflow.sealing`)."""
_SEALED = f'"{SEALED}'.encode()
TOO_DEEP = "is nested deeper than this Python writes, or holds itself"
FIRST = 5
"""So many levels are named of what is nested too deep: each is like the one before, mostly."""
_PARTS = (msgspec.inspect.Type, msgspec.inspect.Field)
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises of what it cannot read: no JSON, of another shape, or nested too deep."""
_VALUE = re.compile(r"^(Invalid (?:enum )?value) .*?( - at `[^`]*`)?$", re.DOTALL)


def _foreign(value: Any) -> Any:
    """What msgspec does not know: pydantic models, and freezegun's dates (a subclass)."""
    if hasattr(value, "model_dump"):  # as its own type reads it back
        return value.model_dump(mode="json", by_alias=True, round_trip=True)
    if isinstance(value, str):  # a subclass, such as the id that `publish` answers
        return str(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"a payload of type {type(value).__name__} cannot be written as JSON")


_encoder = msgspec.json.Encoder(enc_hook=_foreign)
_write: Callable[[Any], bytes] = _encoder.encode


def encode(value: Any) -> bytes:
    """A payload as JSON. Raises TypeError for what JSON cannot hold, ValueError for a number that
    is not finite, for text that is none, and for what is nested too deep or holds itself; both say
    where."""
    try:
        data = _write(value)
        # What msgspec makes of NaN, too. (`in` tries it as a number first, and costs five times
        # that.)
        if data.find(b"null") >= 0 and value is not None:
            _refuse_infinite(msgspec.to_builtins(value, enc_hook=_plain), "$")
    except RecursionError:
        raise ValueError(f"the payload {TOO_DEEP}, at ${place_of(value, most=FIRST)}…") from None
    except UnicodeEncodeError:
        raise ValueError(f"the payload {LONE}, at ${place_of(value)}") from None
    return data


def encode_each(values: Sequence[Any]) -> list[str]:
    """Each of these as `encode` writes it, as text. Raises what that does."""
    try:
        lines = _encoder.encode_lines(values).decode().split("\n")
    except UnicodeEncodeError:  # which of them it is, is said by `encode`
        lines = []
    if len(lines) != len(values) + 1:  # JSON of somebody else's has lines of its own
        return [encode(value).decode() for value in values]
    lines.pop()
    for value, line in zip(values, lines, strict=True):
        if "null" in line:
            encode(value)
    return lines


def _plain(value: Any) -> Any:
    return None if isinstance(value, msgspec.Raw) else _foreign(value)


def _refuse_infinite(value: Any, place: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"the payload holds {value} at {place}, and JSON has finite numbers only")
    if isinstance(value, dict):
        for name, part in value.items():
            _refuse_infinite(part, f"{place}.{name}")
    elif isinstance(value, list | tuple | set | frozenset):
        for index, part in enumerate(value):
            _refuse_infinite(part, f"{place}[{index}]")


def carried(text: str) -> str:
    """JSON with U+FFFE and U+FFFF as escapes: SQS takes no message that holds them."""
    if text.isascii():
        return text
    return text.replace("\ufffe", r"\ufffe").replace("\uffff", r"\uffff")


def decoder(annotation: Any, *, opened: bool = False) -> Decode:
    """A function from JSON bytes to `annotation`. `opened`: its caller has refused what is sealed.
    Raises TypeError when there can be none.

    The function raises DecodeError, naming the place and the expected type, never the value
    (but for what a type's own checks say). Unknown fields are ignored, so that producers may
    add some.
    """
    try:
        foreign = _foreign_types(annotation)
        if any(hasattr(kind, "__pydantic_validator__") for kind in foreign):
            return _pydantic_decoder(annotation, opened)
        if foreign:
            raise TypeError(f"{foreign[0].__name__} is a plain class")
        read = msgspec.json.Decoder(annotation).decode
    except (TypeError, NameError) as error:
        raise TypeError(str(error)) from error

    def decode(raw: msgspec.Raw) -> Any:
        if not opened:
            refuse_sealed(raw)
        try:
            return read(raw)
        except UNREADABLE as error:
            text = _VALUE.sub(r"\1\2", str(error))
            raise DecodeError(f"the payload does not fit: {text}") from None

    return decode


def reader(kind: type[T], what: str) -> Callable[[str | bytes], T]:
    """A function from what we have stored as JSON to this type. It raises DecodeError, which names
    `what` it is, for such as cannot be read here: of another release, or nested too deep."""
    read = msgspec.json.Decoder(kind).decode

    def decode(text: str | bytes) -> T:
        try:
            return read(text)
        except UNREADABLE as error:
            raise DecodeError(f"{what} cannot be read here: {error}") from None

    return decode


def list_decoder(annotations: Sequence[Any]) -> Decode | None:
    """A function from the JSON of a list, of so many values as there are annotations, to a tuple of
    these types; None where one of them takes more than msgspec. What is sealed its caller has
    refused. The function raises what msgspec does: `decoder`, value by value, says more."""
    try:
        whole = tuple.__class_getitem__(tuple(annotations))
        if _foreign_types(whole):
            return None
        return msgspec.json.Decoder(whole).decode
    except (TypeError, NameError):
        return None


def refuse_sealed(raw: msgspec.Raw) -> None:
    """Raise PayloadSealed for a value that is sealed, or holds one that is."""
    if _SEALED in bytes(raw):
        raise PayloadSealed(
            "it is sealed, and this process does not open it: the registry has no codec=, or one "
            "without the key that it was sealed by"
        )


def _foreign_types(annotation: Any) -> list[type]:
    """The classes inside `annotation` that msgspec alone cannot make."""
    found: list[type] = []
    seen: set[int] = set()

    def walk(part: Any) -> None:
        if isinstance(part, tuple):
            for one in part:
                walk(one)
        elif isinstance(part, msgspec.inspect.CustomType):
            found.append(part.cls)
        elif isinstance(part, _PARTS) and id(part) not in seen:
            seen.add(id(part))
            walk(tuple(getattr(part, name) for name in part.__struct_fields__))

    try:
        walk(msgspec.inspect.type_info(annotation))
    except TypeError:  # a union of several models, tagged or not
        found = list(_models(annotation))
        if not found:
            raise
    return [kind for kind in found if kind is not object]


def _models(annotation: Any) -> Iterator[type]:
    """The pydantic models somewhere in an annotation that msgspec refuses."""
    if hasattr(annotation, "__pydantic_validator__"):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _pydantic_decoder(annotation: Any, opened: bool) -> Decode:
    from pydantic import PydanticUserError, TypeAdapter, ValidationError

    try:
        read = TypeAdapter(annotation).validate_json
    except PydanticUserError as error:
        raise TypeError(str(error)) from error

    def decode(raw: msgspec.Raw) -> Any:
        if not opened:
            refuse_sealed(raw)
        try:
            return read(bytes(raw))
        except ValidationError as error:
            places = "; ".join(
                f"{_without_tag(problem)} - at `{'.'.join(map(str, ('$', *problem['loc'])))}`"
                for problem in error.errors(include_url=False, include_input=False)
            )
            raise DecodeError(f"the payload does not fit: {places}") from None

    return decode


def _without_tag(problem: Any) -> str:
    """A tagged union's message without the tag, which comes from the payload."""
    message: str = problem["msg"]
    return message.replace(f"'{problem.get('ctx', {}).get('tag')}' ", "", 1)


def encode_arguments(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Arguments of a call as JSON. Raises TypeError or ValueError, saying which argument, and where
    in it, JSON cannot hold."""
    try:
        return encode(args), encode(kwargs) if kwargs else b"{}"
    except (TypeError, ValueError) as error:
        for name, value in [*enumerate(args, 1), *kwargs.items()]:
            try:
                _encode_part(value)
            except RecursionError:
                place = place_of(value, most=FIRST)
                raise ValueError(f"argument {name} at {place}…: {TOO_DEEP}") from None
            except UnicodeEncodeError:
                place = place_of(value)
                raise ValueError(f"argument {name}{place and f' at {place}'}: {LONE}") from None
            except (TypeError, ValueError) as found:
                place = place_of(value)
                raise type(found)(f"argument {name}{place and f' at {place}'}: {found}") from None
        raise type(error)(str(error)) from None


def _encode_part(value: Any) -> None:
    """As `encode`, and RecursionError comes out: where that is, its caller looks for."""
    if b"null" in _write(value):
        _refuse_infinite(msgspec.to_builtins(value, enc_hook=_plain), "$")


def place_of(value: Any, path: str = "", depth: int = 0, most: int = 50) -> str:
    """Where in a value that cannot be JSON the first part is which cannot; `most` levels of it."""
    if depth >= most:
        return path
    parts: Iterator[tuple[str, Any]] = iter(())
    if isinstance(value, dict):
        parts = ((f"{path}[{name!r}]", part) for name, part in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        parts = ((f"{path}[{at}]", part) for at, part in enumerate(value))
    elif hasattr(value, "__dataclass_fields__"):
        parts = ((f"{path}.{name}", getattr(value, name)) for name in value.__dataclass_fields__)
    elif isinstance(value, msgspec.Struct):
        parts = ((f"{path}.{name}", getattr(value, name)) for name in value.__struct_fields__)
    for place, part in parts:
        try:
            _encode_part(part)
        except (TypeError, ValueError, RecursionError):
            return place_of(part, place, depth + 1, most)
    return path


read_any = decoder(Any, opened=True)
"""What JSON says, of whatever kind, sealed or not. Raises DecodeError."""
