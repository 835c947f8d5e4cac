"""What one key of a filter policy accepts: its array of values and operators, compiled.

https://docs.aws.amazon.com/sns/latest/dg/attribute-key-matching.html
https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from taskflow.filters.operators import (
    OPERATORS,
    Test,
    check_number,
    equals,
    read_expression,
    refused,
    split_wildcard,
)
from taskflow.filters.values import Scalar

T = TypeVar("T")


class Rule(msgspec.Struct, frozen=True):
    """The compiled array of one key.

    `accepts` asks one value of the message; `present` and `absent` say whether the array holds
    exists=true and exists=false. `wildcard_points` is what AWS calls the complexity of the
    field, 0 when there is no wildcard. `tests` is how many comparisons a value may cost.
    """

    accepts: Test
    present: bool
    absent: bool
    wildcard_points: int
    tests: int


def compile_rule(values: list[Any]) -> Rule:
    """Compile the array of one key. Raises InvalidFilterPolicy."""
    if not values:
        raise refused("Empty arrays are not allowed")
    exact: list[Scalar] = []
    tests: list[Test] = []
    exists: set[bool] = set()
    points: list[int] = []
    has_wildcard = False
    for value in values:
        if isinstance(value, list):
            raise refused("Match value must be String, number, true, false, or null")
        if not isinstance(value, dict):
            exact.append(check_number(value))
            continue
        operator, operand = read_expression(value, "Match expression name not found")
        if operator == "exists":
            if not isinstance(operand, bool):
                raise refused("exists match pattern must be either true or false.")
            exists.add(operand)
        elif operator in OPERATORS:
            tests.append(OPERATORS[operator](operand))
        else:
            raise refused(f"Unrecognized match type {operator}")
        if operator == "wildcard":
            wildcards = len(split_wildcard(operand)) - 1
            points.append(wildcards if wildcards < 2 else 3 * wildcards)
            has_wildcard = True
        elif operator == "anything-but":
            points.append(1)
            has_wildcard |= isinstance(operand, dict) and "wildcard" in operand
    if exact:
        tests.insert(0, equals(exact))
    return Rule(
        any_of(tests),
        True in exists,
        False in exists,
        sum(points) * len(points) * has_wildcard,
        max(1, len(tests)),
    )


def any_of(checks: Iterable[Callable[[T], bool]]) -> Callable[[T], bool]:
    """One check that asks several until one says yes."""
    several = tuple(checks)
    if len(several) == 1:
        return several[0]

    def check(subject: T) -> bool:
        for each in several:  # noqa: SIM110 - `any` of a generator takes twice the time
            if each(subject):
                return True
        return False

    return check


def all_of(checks: Iterable[Callable[[T], bool]]) -> Callable[[T], bool]:
    """One check that asks several until one says no."""
    several = tuple(checks)
    if len(several) == 1:
        return several[0]

    def check(subject: T) -> bool:
        for each in several:  # noqa: SIM110 - as above
            if not each(subject):
                return False
        return True

    return check
