"""Comparing two JSON schemas, as msgspec and pydantic write them, place by place."""

from collections.abc import Iterator, Mapping
from typing import Any

from taskflow.errors import ConfigError
from taskflow.schemas.difference import Difference, Effect

Schema = Mapping[str, Any]
MOST_REFERENCES = 50
_UNIONS = ("anyOf", "oneOf", "allOf")
_LEAST = ("minLength", "minItems", "minProperties", "minimum", "exclusiveMinimum")
_MOST = ("maxLength", "maxItems", "maxProperties", "maximum", "exclusiveMaximum")
_FORMS = ("pattern", "format", "multipleOf", "contentEncoding", "uniqueItems")
_STRUCTURE = ("properties", "additionalProperties", "items", "prefixItems", "enum", "const")


class TypeComparison:
    """Of the type of one payload, before and now."""

    def __init__(self, payload: str, before: Schema, after: Schema) -> None:
        self._payload = payload
        self._old, self._new = before, after
        self._met: dict[tuple[int, int], tuple[Schema, Schema]] = {}
        """What was compared; kept, so that no other schema gets its identity."""

    def differences(self) -> Iterator[Difference]:
        """Each with the place where it is."""
        yield from self._any(self._old, self._new, "$")

    def _differs(self, effect: Effect, path: str, what: str) -> Difference:
        return Difference(effect, self._payload, path, what)

    # ---- any schema ---------------------------------------------------------------------------
    def _any(self, old: Schema, new: Schema, path: str) -> Iterator[Difference]:
        olds, news = _choices(old, self._old), _choices(new, self._new)
        if not olds or not news:  # one of them takes anything
            if olds:
                yield self._differs("careful", path, f"it was {_kinds(olds)}, and is anything now")
            elif news:
                yield self._differs("breaking", path, f"it was anything, and is {_kinds(news)} now")
            return
        for kind, one in olds.items():
            other = news.get(kind) or _alike(kind, one, olds, news)
            if other is not None:
                yield from self._same_kind(one, other, path)
            elif kind == "integer" and "number" in news:
                yield self._differs("careful", path, "it was a whole number, and is any now")
            else:
                yield self._differs("breaking", path, f"it takes no {kind} any more")
        for kind, one in news.items():
            taken = kind in olds or _alike(kind, one, news, olds) is not None
            if not taken and not (kind == "number" and "integer" in olds):
                narrower = kind == "integer" and "number" in olds
                if not narrower:
                    yield self._differs("careful", path, f"it takes {kind}, too")

    def _same_kind(self, old: Schema, new: Schema, path: str) -> Iterator[Difference]:
        if (pair := (id(old), id(new))) in self._met:  # a type that holds itself
            return
        self._met[pair] = (old, new)
        yield from self._values(old, new, path)
        yield from self._bounds(old, new, path)
        if "properties" in old or "properties" in new or "additionalProperties" in old:
            yield from self._fields(old, new, path)
        if "items" in old or "items" in new:
            yield from self._any(_items(old), _items(new), f"{path}[]")
        for at, (one, other) in enumerate(
            zip(old.get("prefixItems", ()), new.get("prefixItems", ()), strict=False)
        ):
            yield from self._any(one, other, f"{path}[{at}]")

    # ---- values and bounds --------------------------------------------------------------------
    def _values(self, old: Schema, new: Schema, path: str) -> Iterator[Difference]:
        olds, news = _allowed(old), _allowed(new)
        if olds is None and news is not None:
            yield self._differs("breaking", path, f"it is one of {_list(news)} only, now")
        elif olds is not None and news is None:
            yield self._differs("careful", path, "it is any value of its type now")
        elif olds is not None and news is not None:
            if gone := [one for one in olds if one not in news]:
                yield self._differs("breaking", path, f"it may not be {_list(gone)} any more")
            if more := [one for one in news if one not in olds]:
                yield self._differs("careful", path, f"it may be {_list(more)}, too")

    def _bounds(self, old: Schema, new: Schema, path: str) -> Iterator[Difference]:
        for name in (*_LEAST, *_MOST):
            was, now = old.get(name), new.get(name)
            if was == now:
                continue
            if now is None or (was is not None and (now < was) == (name in _LEAST)):
                yield self._differs("careful", path, f"{name} was {was}, and is {_or_none(now)}")
            else:
                yield self._differs("breaking", path, f"{name} was {_or_none(was)}, and is {now}")
        for name in _FORMS:
            was, now = old.get(name), new.get(name)
            if was != now:
                effect: Effect = "careful" if now is None else "breaking"
                said = f"{name} was {_or_none(was)}, and is {_or_none(now)}"
                yield self._differs(effect, path, said)

    # ---- objects ------------------------------------------------------------------------------
    def _fields(self, old: Schema, new: Schema, path: str) -> Iterator[Difference]:
        olds, news = old.get("properties", {}), new.get("properties", {})
        needed, needs = set(old.get("required", ())), set(new.get("required", ()))
        others, other = old.get("additionalProperties", True), new.get("additionalProperties", True)
        for name in olds.keys() - news.keys():
            place = f"{path}.{name}"
            if other is False:
                what = "the field is gone, and unknown ones are refused: so is what waits with it"
                yield self._differs("breaking", place, what)
            elif name in needed:
                yield self._differs("breaking", place, "the field is gone, and older code needs it")
            else:
                yield self._differs("compatible", place, "the field is gone; nobody needed it")
        for name in news.keys() - olds.keys():
            place = f"{path}.{name}"
            if name in needs:
                yield self._differs("breaking", place, "the field is new, and must be there")
            elif others is False:
                what = "the field is new, and older code refuses what it does not know"
                yield self._differs("careful", place, what)
            else:
                yield self._differs("compatible", place, "the field is new, and may be left out")
        for name in olds.keys() & news.keys():
            place = f"{path}.{name}"
            if name in needs - needed:
                yield self._differs("breaking", place, "the field must be there now")
            elif name in needed - needs:
                yield self._differs("careful", place, "the field may be left out now")
            yield from self._any(olds[name], news[name], place)
        if others is not False and other is False:
            yield self._differs("breaking", path, "unknown fields are refused now")
        elif others is False and other is not False:
            yield self._differs("careful", path, "unknown fields are ignored now")
        elif isinstance(others, Mapping) and isinstance(other, Mapping):
            yield from self._any(others, other, f"{path}.*")


def _choices(schema: Schema, root: Schema) -> dict[str, Schema]:
    """What a schema allows, by kind: a type's name, and of several objects their titles. Empty for
    one that allows anything."""
    schema = _resolved(schema, root)
    found: dict[str, Schema] = {}
    for union in _UNIONS:
        for part in schema.get(union, ()):
            choices = _choices(part, root)
            if not choices:
                return {}
            for kind, one in choices.items():
                title = one.get("title") or str(len(found))
                clash = kind in found and found[kind] is not one
                found[f"{kind} {title}" if clash else kind] = one
    if found:
        return found
    kinds = schema.get("type")
    if kinds is None:
        allowed = _allowed(schema)
        if allowed is None:
            return {"object": schema} if any(name in schema for name in _STRUCTURE) else {}
        kinds = sorted({_kind_of(value) for value in allowed})
        return {
            kind: {**schema, "enum": [one for one in allowed if _kind_of(one) == kind]}
            for kind in kinds
        }
    return dict.fromkeys([kinds] if isinstance(kinds, str) else kinds, schema)


def _resolved(schema: Schema, root: Schema) -> Schema:
    """What a reference means. Raises ConfigError for one that means nothing."""
    for _ in range(MOST_REFERENCES):
        if (reference := schema.get("$ref")) is None:
            return schema
        found: Any = root
        for part in str(reference).removeprefix("#/").split("/"):
            found = found.get(part) if isinstance(found, Mapping) else None
        if not isinstance(found, Mapping):
            raise ConfigError(f"a schema refers to {reference!r}, which is not in it")
        schema = found
    raise ConfigError(f"a schema refers to {schema['$ref']!r} in a circle")


def _alike(
    kind: str, one: Schema, mine: Mapping[str, Schema], theirs: Mapping[str, Schema]
) -> Schema | None:
    """The alternative of the other side that is the same one: by title, or as the only one of its
    type on both sides."""
    base = kind.split(" ")[0]
    same = [other for name, other in theirs.items() if name.split(" ")[0] == base]
    titled = [other for other in same if other.get("title") == one.get("title")]
    if len(titled) == 1:
        return titled[0]
    alone = sum(name.split(" ")[0] == base for name in mine) == 1
    return same[0] if alone and len(same) == 1 else None


def _items(schema: Schema) -> Schema:
    found = schema.get("items")
    return found if isinstance(found, Mapping) else {}


def _allowed(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    values = schema.get("enum")
    return None if values is None else list(values)


def _kind_of(value: Any) -> str:
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
    return kinds.get(type(value), "object")


def _kinds(choices: Mapping[str, Schema]) -> str:
    return " or ".join(choices)


def _list(values: list[Any]) -> str:
    return ", ".join(map(repr, values))


def _or_none(value: Any) -> str:
    return "none" if value is None else str(value)
