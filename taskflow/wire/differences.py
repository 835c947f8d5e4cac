"""How two settings of a queue or topic differ, in words: what is there, and what is declared."""

from collections.abc import Callable, Collection
from dataclasses import fields
from operator import eq
from typing import TypeVar

S = TypeVar("S")
Same = Callable[[str, object, object], bool]
"""Whether two values of an attribute say the same."""


def differences(
    found: S,
    declared: S,
    ignored: Collection[str] = (),
    same: Same = lambda _, one, other: eq(one, other),
) -> list[str]:
    """Each attribute that differs, but for those `ignored`."""
    names = [field.name for field in fields(found)]  # type: ignore[arg-type]  # they are settings
    return [
        f"{name} is {_text(getattr(found, name))}, declared as {_text(getattr(declared, name))}"
        for name in names
        if name not in ignored and not same(name, getattr(found, name), getattr(declared, name))
    ]


def _text(value: object) -> str:
    return f"{value:.12g}" if isinstance(value, float) else str(value)
