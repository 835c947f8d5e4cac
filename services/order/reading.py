"""Reads JSON bodies into structs and finds everything that is wrong with them, not just the first.

Every error has the JSON pointer (RFC 6901, as a URI fragment) of the field it is about.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_args, get_origin
from urllib.parse import quote

import msgspec

Body = TypeVar("Body", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class FieldError:
    """One bad field: where, and what is wrong with it."""

    pointer: str
    detail: str


class MalformedJson(Exception):
    """The body is not JSON at all."""


class InvalidBody(Exception):
    """The body is JSON, but not of the right shape; `errors` names every bad field."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__(f"{len(errors)} bad fields")
        self.errors = errors


def read_json(body: bytes, kind: type[Body]) -> Body:
    """Decode and check a body. Raises MalformedJson or InvalidBody; nothing else."""
    if not body.strip():
        raise MalformedJson("the body is empty; send a JSON object")
    try:
        value = msgspec.json.decode(body)
    except RecursionError:
        raise MalformedJson("the body is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedJson(f"the body is not JSON: {error}") from None
    errors = list(_find_errors(value, kind, "#"))
    if errors:
        raise InvalidBody(errors)
    return msgspec.convert(value, kind)


def _find_errors(value: Any, kind: Any, pointer: str) -> Iterator[FieldError]:
    struct = _struct_in(kind)
    if struct is not None and isinstance(value, dict):
        yield from _find_field_errors(value, struct, pointer)
        return
    item_kind = _item_kind(kind)
    if item_kind is not None and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _find_errors(item, item_kind, f"{pointer}/{index}")
        try:
            # Only the length is left to check.
            msgspec.convert([None] * len(value), _with_items(kind, None))
        except msgspec.ValidationError as error:
            yield FieldError(pointer, _explain(kind, error))
        return
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        yield FieldError(pointer, _explain(kind, error))


def _find_field_errors(
    value: dict[str, Any], struct: type[msgspec.Struct], pointer: str
) -> Iterator[FieldError]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    for name, field in fields.items():
        where = f"{pointer}/{name}"
        if name in value:
            yield from _find_errors(value[name], field.type, where)
        elif field.required:
            yield FieldError(where, "is missing")
    for name in value.keys() - fields.keys():
        known = ", ".join(fields)
        yield FieldError(f"{pointer}/{_escape(name)}", f"is not known; known: {known}")


def _struct_in(kind: Any) -> type[msgspec.Struct] | None:
    """The struct that a type is, or may be (`Struct | None`)."""
    for each in (kind, *get_args(kind)):
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            return each
    return None


def _item_kind(kind: Any) -> Any:
    """The X of `list[X]`, annotated or not; None for any other type."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return get_args(kind)[0] if get_origin(kind) is list else None


def _with_items(kind: Any, item_kind: Any) -> Any:
    """The same list type, annotations kept, with other items."""
    if get_origin(kind) is Annotated:
        return Annotated[(list[item_kind], *get_args(kind)[1:])]
    return list[item_kind]


def _explain(kind: Any, error: msgspec.ValidationError) -> str:
    """The sentence its annotation has for it, else what msgspec says."""
    for each in get_args(kind)[1:]:
        if isinstance(each, msgspec.Meta) and each.extra and "says" in each.extra:
            return str(each.extra["says"])
    return str(error).removesuffix(" - at `$`")


def _escape(name: str) -> str:
    """A member name as a step of a JSON pointer in a URI fragment, cut to a sane length."""
    return quote(name[:100].replace("~", "~0").replace("/", "~1"))
