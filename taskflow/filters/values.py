"""The values of a message that a filter policy looks at: attributes, and leaves of a JSON body."""

import json
import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NoReturn

import msgspec

from taskflow.message import Attribute

Scalar = str | int | float | bool | None

MAX_NUMBER = 1e9

decode = msgspec.json.Decoder().decode
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def read_json(text: str) -> Any:
    """Decode JSON text. Raises ValueError, or RecursionError when it is nested too deep."""
    try:
        return decode(text)
    except ValueError:
        # Half of an escaped surrogate pair is JSON too, and so are numbers of any size.
        return json.loads(text, parse_int=float, parse_constant=_refuse)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


@lru_cache(maxsize=1)  # one body meets all filters of its topic in a row
def read_body(body: str) -> dict[str, Any] | None:
    """The object that a message body is; None when it is something else. Not to be changed."""
    try:
        found = read_json(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def split_path(path: str) -> tuple[int, ...]:
    """Where a name may end in a dotted path: at each dot, and at its end."""
    return (*(found.start() for found in re.finditer(r"\.", path)), len(path))


def body_values(body: dict[str, Any], path: str, stops: tuple[int, ...]) -> list[Scalar]:
    """Every leaf at `path`, through arrays of any depth; `stops` is its `split_path`.

    `{"a": {"b": 1}}` and `{"a.b": 1}` both have a leaf at `a.b`: SNS matches either. An object or
    an empty array is no leaf.
    """
    found: list[Scalar] = []
    waiting: list[tuple[Any, int]] = [(body, 0)]
    while waiting:
        node, start = waiting.pop()
        if type(node) is dict:
            for stop in stops:
                if stop >= start and (name := path[start:stop]) in node:
                    waiting.append((node[name], stop + 1))
        elif type(node) is list:
            waiting += [(item, start) for item in node]
        elif start > len(path):
            found.append(node)
    return found


def attribute_values(attribute: Attribute) -> Sequence[Scalar]:
    """What a typed attribute offers for matching: nothing when Binary or malformed."""
    text = attribute.value
    if type(text) is not str:
        return ()
    if attribute.type in ("String.Array", "Number.Array"):
        return _array_values(text)
    kind = attribute.type.partition(".")[0]
    if kind == "String":
        return (text,)
    if kind == "Number" and _NUMBER.fullmatch(text):
        return (float(text),)
    return ()


def _array_values(text: str) -> list[Scalar]:
    """The elements of a JSON array; SNS takes a lone JSON value for an array of one."""
    try:
        waiting = [read_json(text)]
    except (ValueError, RecursionError):
        return []
    found: list[Scalar] = []
    while waiting:
        node = waiting.pop()
        if type(node) is list:
            waiting += node
        elif type(node) is not dict:
            found.append(node)
    return found


def is_filled(value: Scalar) -> bool:
    """Whether a leaf counts for exists=true: neither null nor the empty string."""
    return value is not None and value != ""


def number_key(value: Scalar) -> int | None:
    """A number as SNS compares it; None for what is no number or outside of +-10**9.

    AWS promises five digits after the point and keeps six. Numbers that differ later are equal.
    """
    if (type(value) is not int and type(value) is not float) or not (
        -MAX_NUMBER <= value <= MAX_NUMBER
    ):
        return None
    # The small addend takes up what binary fractions lose: 1.000001 * 1e6 is below 1000001.
    return math.floor(value * 1e6 + 0.001)
