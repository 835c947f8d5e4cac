"""Writing Terraform's language: blocks, attributes and values, laid out as `terraform fmt` does.

https://developer.hashicorp.com/terraform/language/syntax/configuration
"""

import json
import re
from collections.abc import Mapping
from typing import Any

_ESCAPES = {"\b": "\\u0008", "\f": "\\u000c"}  # which JSON writes as Terraform does not
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class Expression(str):
    """Text that is code: `aws_sqs_queue.audit.arn`."""

    __slots__ = ()


class Json:
    """A value that is written as `jsonencode(…)`."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Block:
    """A block inside a block: `validation { … }`."""

    __slots__ = ("attributes",)

    def __init__(self, **attributes: Any) -> None:
        self.attributes = attributes


def block(head: str, attributes: Mapping[str, Any]) -> str:
    """`head { … }`. Attributes that are None are left out; a Block, or each of a list of
    them, stands by itself."""
    return f"{head} {_braces(attributes, 0)}\n"


def label(*words: str) -> str:
    """`resource "aws_sqs_queue" "audit"`."""
    return " ".join([words[0], *map(quote, words[1:])])


def quote(text: str) -> str:
    """A string literal; `${` and `%{` would begin a template."""
    quoted = "".join(_ESCAPES.get(one) or json.dumps(one, ensure_ascii=False)[1:-1] for one in text)
    quoted = quoted.replace("${", "$${").replace("%{", "%%{")
    return f'"{quoted}"'


def _value(value: Any, depth: int) -> str:
    match value:
        case Expression():
            return value
        case Json():
            return f"jsonencode({_value(value.value, depth)})"
        case bool() | int() | float() | None:
            return json.dumps(value)
        case str():
            return quote(value)
        case list():
            return _list(value, depth)
        case dict():
            return _braces(value, depth) if value else "{}"
    raise TypeError(f"{type(value).__name__} has no place in Terraform's language")


def _list(values: list[Any], depth: int) -> str:
    if not values:
        return "[]"
    inside = "  " * (depth + 1)
    lines = [f"{inside}{_value(value, depth + 1)},\n" for value in values]
    return "[\n" + "".join(lines) + "  " * depth + "]"


def _braces(attributes: Mapping[str, Any], depth: int) -> str:
    """One attribute to a line; the `=` of neighbouring lines stand below each other, and what
    takes several lines stands apart."""
    inside = "  " * (depth + 1)
    text = "{\n"
    group: list[tuple[str, str]] = []

    def end_group() -> str:
        width = max((len(name) for name, _ in group), default=0)
        lines = [f"{inside}{name.ljust(width)} = {value}\n" for name, value in group]
        group.clear()
        return "".join(lines)

    for name, value in attributes.items():
        if value is None:
            continue
        blocks = [value] if isinstance(value, Block) else value if isinstance(value, list) else []
        if blocks and all(isinstance(one, Block) for one in blocks):
            text += end_group()
            for one in blocks:
                text += f"{inside}{name} {_braces(one.attributes, depth + 1)}\n"
            continue
        key = name if _NAME.fullmatch(name) else quote(name)
        written = _value(value, depth + 1)
        group.append((key, written))
        if "\n" in written:  # it ends the group it is in
            key, written = group.pop()
            text += end_group() + f"{inside}{key} = {written}\n"
    return text + end_group() + "  " * depth + "}"
