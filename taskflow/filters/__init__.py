"""Which messages a subscription wants: SNS filter policies, compiled once and asked per message.

https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html
https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html
"""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Literal, TypeGuard

import msgspec

from taskflow.errors import InvalidFilterPolicy
from taskflow.filters.budget import spend
from taskflow.filters.key_rule import Rule, all_of, any_of, compile_rule
from taskflow.filters.operators import refused
from taskflow.filters.values import (
    attribute_values,
    body_values,
    decode,
    is_filled,
    read_body,
    split_path,
)
from taskflow.message import Attribute

Scope = Literal["MessageAttributes", "MessageBody"]

MAX_POLICY_BYTES = 256 * 1024
MAX_KEYS = 5
MAX_COMBINATIONS = 150
MAX_WILDCARD_POINTS = 100
MAX_NAMES = 150
"""In one dotted path. AWS names no limit; looking for longer ones would take too long."""

RESERVED = {
    *("anything-but", "cidr", "equals-ignore-case", "exactly", "exists", "numeric", "prefix"),
    *("suffix", "wildcard", "=", "<", "<=", ">", ">=", "regex", "not-wildcard"),
    *("not-equals-ignore-case", "date-after", "date-on-or-after", "date-before"),
    *("date-on-or-before", "in-date-range", "ip-address-in-range", "ip-address-not-in-range"),
}
"""A `$or` whose branches have such a key is an ordinary property. From AWS's Event Ruler."""

_Check = Callable[[Any], bool]
"""Asked of the attributes, or of the body once it is read."""
_OnKey = Callable[[str, Rule], _Check]
"""Binds the rule of a key to the attribute of that name, or to the path in the body."""


class Filter:
    """A compiled filter policy. Immutable and thread-safe; made by `parse_filter`."""

    __slots__ = ("_check", "_on_body")

    def __init__(self, check: _Check | None, on_body: bool) -> None:
        self._check = check
        self._on_body = on_body

    def matches(self, attributes: Mapping[str, str | Attribute], body: str) -> bool:
        """Whether the subscription wants this message. Raises LimitExceeded within a `limited`
        block (`filters.budget`), and else nothing.

        An attribute given as `str` is a String. In the MessageBody scope a body that is no JSON
        object matches nothing but the empty policy.
        """
        if self._check is None:
            return True
        if not self._on_body:
            return self._check(attributes)
        found = read_body(body)
        return found is not None and self._check(found)


def parse_filter(policy: str, scope: Scope = "MessageAttributes") -> Filter:
    """Compile a filter policy (JSON text). Idempotent, thread-safe, and cached.

    The empty policy, `{}`, matches everything. A key of several values needs one of them, an
    object all of its keys. Where a value of the message is an array, one element that matches is
    enough, for each key on its own; so `anything-but` refuses an array only when it refuses every
    element. In the MessageBody scope nested keys and keys with dots are the same path.

    Raises InvalidFilterPolicy. Its text is what AWS says between its prefix ("Invalid parameter:
    ", "Attributes Reason: ") and the position in the JSON, as far as that text is known.
    """
    return _parse(policy, scope)


@lru_cache(maxsize=256)
def _parse(policy: str, scope: Scope) -> Filter:
    if scope not in ("MessageAttributes", "MessageBody"):
        raise InvalidFilterPolicy(
            f"FilterPolicyScope: Invalid value [{scope}]. "
            "Please use either MessageBody or MessageAttributes"
        )
    on_body = scope == "MessageBody"
    keys = _read_policy(policy)
    if not keys:
        return Filter(None, on_body)
    try:
        compiled = _compile(keys, _on_body_path if on_body else _on_attribute)
    except RecursionError:  # each level costs a combination or more
        raise _too_complex() from None
    if compiled.nested and not on_body:
        raise InvalidFilterPolicy(
            "Filter policy scope MessageAttributes does not support nested filter policy"
        )
    if compiled.keys > MAX_KEYS:
        raise refused("Filter policy can not have more than 5 keys")
    if compiled.combinations > MAX_COMBINATIONS or compiled.wildcard_points > MAX_WILDCARD_POINTS:
        raise _too_complex()
    return Filter(compiled.check, on_body)


def _read_policy(policy: str) -> dict[str, Any]:
    try:
        if len(policy.encode()) > MAX_POLICY_BYTES:
            raise refused("Filter policy can not be larger than 256 KB")
        keys = decode(policy)
    except (ValueError, RecursionError):  # lone surrogates too: a policy is valid UTF-8
        raise refused("failed to parse JSON.") from None
    if not isinstance(keys, dict):
        raise refused("Filter is not an object")
    return keys


class _Compiled(msgspec.Struct, frozen=True):
    """A part of a policy and what it costs.

    `keys` counts the leaf keys that apply together: the branches of a `$or` do not add up.
    """

    check: _Check
    keys: int
    combinations: int
    wildcard_points: int
    nested: bool


def _compile(policy: dict[str, Any], on_key: _OnKey, prefix: str = "", depth: int = 1) -> _Compiled:
    """Compile an object, all of whose keys must match; they are nested `depth` deep."""
    if not policy:
        raise refused("Empty objects are not allowed")
    parts = [_compile_key(key, value, on_key, prefix, depth) for key, value in policy.items()]
    return _Compiled(
        all_of(part.check for part in parts),
        sum(part.keys for part in parts),
        math.prod(part.combinations for part in parts),
        sum(part.wildcard_points for part in parts),
        any(part.nested for part in parts),
    )


def _compile_key(key: str, value: object, on_key: _OnKey, prefix: str, depth: int) -> _Compiled:
    if key == "$or" and _is_choice(value):
        return _compile_or([_compile(branch, on_key, prefix, depth) for branch in value])
    if isinstance(value, dict):
        inside = _compile(value, on_key, f"{prefix}{key}.", depth + 1)
        return msgspec.structs.replace(inside, nested=True)
    if isinstance(value, list):
        rule = compile_rule(value)
        check = on_key(prefix + key, rule)
        return _Compiled(check, 1, len(value) * depth, rule.wildcard_points, False)
    raise refused(f'"{key}" must be an object or an array')


def _compile_or(branches: list[_Compiled]) -> _Compiled:
    return _Compiled(
        any_of(branch.check for branch in branches),
        max(branch.keys for branch in branches),
        sum(branch.combinations for branch in branches),
        sum(branch.wildcard_points for branch in branches),
        any(branch.nested for branch in branches),
    )


def _is_choice(value: object) -> TypeGuard[list[dict[str, Any]]]:
    """Whether a `$or` is the operator, not a property that happens to have this name.

    https://docs.aws.amazon.com/sns/latest/dg/and-or-logic.html#or-operator
    """
    return (
        isinstance(value, list)
        and len(value) >= 2
        and all(isinstance(branch, dict) and RESERVED.isdisjoint(branch) for branch in value)
    )


def _too_complex() -> InvalidFilterPolicy:
    return refused("Filter policy is too complex")


def _on_attribute(name: str, rule: Rule) -> _Check:
    accepts, present, absent = rule.accepts, rule.present, rule.absent

    def check(attributes: Mapping[str, str | Attribute]) -> bool:
        attribute = attributes.get(name)
        if attribute is None:
            # AWS: exists=false does not match a message without any attribute.
            return absent and bool(attributes)
        if isinstance(attribute, str):
            return (present and attribute != "") or accepts(attribute)
        if present and attribute.value:
            return True
        return any(map(accepts, attribute_values(attribute)))

    return check


def _on_body_path(path: str, rule: Rule) -> _Check:
    accepts, present, absent = rule.accepts, rule.present, rule.absent
    stops, tests = split_path(path), rule.tests
    if len(stops) > MAX_NAMES:
        raise _too_complex()

    def check(body: dict[str, Any]) -> bool:
        values = body_values(body, path, stops)
        if not values:
            return absent
        if present and any(map(is_filled, values)):
            return True
        spend(len(values) * tests)
        return any(map(accepts, values))

    return check
