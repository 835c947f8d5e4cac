"""Comparing the payload types of two releases: what is refused by whom, place by place."""

from collections.abc import Iterator, Sequence

from taskflow.errors import ConfigError
from taskflow.schemas.difference import EFFECTS, Difference
from taskflow.schemas.payload_schema import PayloadSchema
from taskflow.schemas.type_comparison import TypeComparison


def compare_schemas(
    before: Sequence[PayloadSchema], after: Sequence[PayloadSchema]
) -> Sequence[Difference]:
    """How the schemas of a release differ from those of the one before, the worst first. Raises
    ConfigError for what is no schema: a file may hold anything."""
    try:
        found = list(_compare(before, after))
    except RecursionError:
        raise ConfigError("a schema is nested too deeply to be compared") from None
    except (AttributeError, TypeError, ValueError) as error:
        raise ConfigError(f"a schema is none as msgspec or pydantic write it: {error}") from None
    found.sort(key=lambda one: (EFFECTS.index(one.effect), one.payload, one.path))
    return list(dict.fromkeys(found))


def _compare(
    before: Sequence[PayloadSchema], after: Sequence[PayloadSchema]
) -> Iterator[Difference]:
    new = {one.key: one for one in after}
    renamed: dict[tuple[str, str, str], PayloadSchema] = {
        (one.kind, name, one.queue): one for one in after for name in one.aliases
    }
    met = set()
    for old in before:
        name = str(old)
        one = new.get(old.key) or renamed.get(old.key)
        if one is None:
            what = "nobody takes it any more: what waits is dead-lettered"
            yield Difference("breaking", name, "$", what)
            continue
        met.add(one.key)
        if one.key != old.key:
            yield Difference("compatible", name, "$", f"it is called {one.name} now")
        yield from _places(name, old.positional, one.positional)
        yield from TypeComparison(name, old.payload, one.payload).differences()
    for one in after:
        if one.key not in met:
            yield Difference("compatible", str(one), "$", "it is new")


def _places(name: str, before: Sequence[str], after: Sequence[str]) -> Iterator[Difference]:
    """A call that waits gives its arguments by place."""
    for at, parameter in enumerate(before):
        if parameter in after and after.index(parameter) != at:
            what = f"argument {at + 1} was {parameter!r}, which is {after.index(parameter) + 1} now"
            yield Difference("breaking", name, f"$.{parameter}", what)
