"""Rows in an order that the address says, a page at a time that does not slip."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeVar

from taskflow.dashboard.answer import Refused

T = TypeVar("T")
PAGE = 500
"""Rows of a page."""


class Sort(NamedTuple):
    """By what, and whether the largest comes first."""

    key: str
    down: bool


def read_sort(text: str, keys: Mapping[str, object], default: str) -> Sort:
    """An order such as `-backlog`. Raises Refused for one that is not known here."""
    text = text or default
    key, down = text.removeprefix("-"), text.startswith("-")
    if key not in keys:
        raise Refused(400, f"Nothing is sorted by {key} here.", (f"Known: {', '.join(keys)}.",))
    return Sort(key, down)


def sorted_page(
    rows: Iterable[T],
    sort: Sort,
    value: Callable[[T], float | str | None],
    name: Callable[[T], str],
    after: str,
    size: int = PAGE,
) -> tuple[list[T], int, str]:
    """The rows of a page, how many there are in all, and what to ask `after` next ("" at the end).
    What is not known comes last. A page goes on behind the row that the last one ended with,
    wherever that would stand by now. Raises Refused for an `after` that is none."""

    def place(row: T) -> tuple[bool, float, str, str]:
        found = value(row)
        number = 0.0 if found is None or isinstance(found, str) else float(found)
        return found is None, -number if sort.down else number, _text(found), name(row)

    ordered = sorted(((place(row), row) for row in rows), key=lambda pair: pair[0])
    if sort.down and any(place[2] for place, _ in ordered):
        ordered.reverse()
    total = len(ordered)
    if after:
        behind = _read_place(after)
        down = sort.down and bool(behind[2])
        ordered = [pair for pair in ordered if (pair[0] < behind if down else pair[0] > behind)]
    page = ordered[:size]
    more = json.dumps(page[-1][0]) if len(ordered) > size else ""
    return [row for _, row in page], total, more


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _read_place(text: str) -> tuple[bool, float, str, str]:
    try:
        unknown, number, word, name = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        unknown = None
    if (
        not isinstance(unknown, bool)
        or not isinstance(number, int | float)
        or not isinstance(word, str)
        or not isinstance(name, str)
    ):
        raise Refused(400, "The address names no place to go on from.", ("Begin anew.",))
    return unknown, float(number), word, name
