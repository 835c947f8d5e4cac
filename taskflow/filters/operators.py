"""The operators of filter policies: each checks its operand and makes a test of one value.

https://docs.aws.amazon.com/sns/latest/dg/string-value-matching.html
https://docs.aws.amazon.com/sns/latest/dg/numeric-value-matching.html
"""

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from taskflow.errors import InvalidFilterPolicy
from taskflow.filters.values import Scalar, number_key

MAX_WILDCARDS = 3
_WILDCARD_TOKEN = re.compile(r"\*\*?|\\[*\\]|\\|[^*\\]+")

Test = Callable[[Scalar], bool]


def refused(reason: str) -> InvalidFilterPolicy:
    return InvalidFilterPolicy(f"FilterPolicy: {reason}")


def read_expression(expression: dict[str, Any], if_empty: str) -> tuple[str, Any]:
    """The operator of a match expression and its operand."""
    if not expression:
        raise refused(if_empty)
    if len(expression) > 1:
        raise refused("Only one key allowed in match expression")
    return next(iter(expression.items()))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_number(value: Any) -> Any:
    """Return the value of a policy unless it is a number that SNS cannot compare."""
    if _is_number(value) and number_key(value) is None:
        raise refused("Value must be between -1.0E9 and 1.0E9, inclusive")
    return value


def _check_text(operator: str, value: object) -> str:
    if not isinstance(value, str):
        raise refused(f"{operator} match pattern must be a string")
    return value


def equals(wanted: list[Scalar]) -> Test:
    texts = frozenset(value for value in wanted if isinstance(value, str))
    words = frozenset(value for value in wanted if value is None or isinstance(value, bool))
    numbers = frozenset(map(number_key, wanted)) - {None}

    def test(value: Scalar) -> bool:
        if type(value) is str:
            return value in texts
        if value is None or value is True or value is False:
            return value in words
        return number_key(value) in numbers

    return test


def _prefix(operand: object) -> Test:
    start = _check_text("prefix", operand)
    return lambda value: type(value) is str and value.startswith(start)


def _suffix(operand: object) -> Test:
    end = _check_text("suffix", operand)
    return lambda value: type(value) is str and value.endswith(end)


def _equals_ignore_case(operand: object) -> Test:
    folded = _check_text("equals-ignore-case", operand).casefold()
    return lambda value: type(value) is str and value.casefold() == folded


def _wildcard(operand: object) -> Test:
    first, *middle = split_wildcard(_check_text("wildcard", operand))
    if not middle:
        return lambda value: value == first
    last = middle.pop()
    if len(middle) + 1 > MAX_WILDCARDS:
        raise refused("Filter policy is too complex: more than 3 wildcards in one pattern")

    def test(value: Scalar) -> bool:
        if type(value) is not str or not (value.startswith(first) and value.endswith(last)):
            return False
        start, end = len(first), len(value) - len(last)
        for piece in middle:
            found = value.find(piece, start, end)
            if found < 0:
                return False
            start = found + len(piece)
        return start <= end

    return test


def split_wildcard(pattern: str) -> list[str]:
    r"""The literal pieces between the wildcards of a pattern; `\*` and `\\` are literal.

    Positions in errors count the opening quote and bytes, as AWS does.
    """
    pieces: list[list[str]] = [[]]
    for found in _WILDCARD_TOKEN.finditer(pattern):
        token = found[0]
        if token == "*":
            pieces.append([])
        elif token in ("**", "\\"):
            position = 1 + len(pattern[: found.start()].encode())
            what = (
                "Invalid escape character" if token == "\\" else "Consecutive wildcard characters"
            )
            raise refused(f"{what} at pos {position}")
        else:
            pieces[-1].append(token.removeprefix("\\"))
    return ["".join(piece) for piece in pieces]


def _anything_but(operand: Any) -> Test:
    """Not one of these values, or not of this shape. A value of another type is not refused."""
    if isinstance(operand, dict):
        operator, inner = read_expression(operand, "Anything-But expression name not found")
        if operator not in ("prefix", "suffix", "wildcard"):
            raise refused(f"Unsupported anything-but pattern: {operator}")
        unwanted = OPERATORS[operator](inner)
        if inner == "" and operator != "wildcard":
            raise refused("Null prefix/suffix not allowed")
    else:
        unwanted = equals(_read_unwanted(operand))
    return lambda value: not unwanted(value)


def _read_unwanted(operand: Any) -> list[Scalar]:
    values = operand if isinstance(operand, list) else [operand]
    if not all(isinstance(value, str) or _is_number(value) for value in values):
        if isinstance(operand, list):
            raise refused("Inside anything but list, start|null|boolean is not supported.")
        raise refused("Value of anything-but must be an array or single string/number value.")
    if len({isinstance(value, str) for value in values}) != 1:
        raise refused(
            "Inside anything but list, either all values are number or string, "
            "mixed type is not supported"
        )
    return [check_number(value) for value in values]


def _cidr(operand: object) -> Test:
    address, *bits = _check_text("prefix", operand).split("/")  # AWS says prefix here
    if len(bits) != 1:
        raise refused("Malformed CIDR, one '/' required")
    digits = bits[0].removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise refused("Malformed CIDR, mask bits must be an integer")
    if bits[0] != digits:
        raise refused("Malformed CIDR, mask bits must not be negative")
    found = _read_address(address)
    if found is None:
        raise refused(f"Nonstandard IP address: {address}")
    longest = found.max_prefixlen
    if len(digits) > 3 or int(digits) > longest:
        raise refused(f"IPv{4 if longest == 32 else 6} mask bits must be < {longest + 1}")
    network = ip_network(f"{address}/{digits}", strict=False)

    def test(value: Scalar) -> bool:
        found = _read_address(value) if type(value) is str else None
        return found is not None and found in network

    return test


def _read_address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return None if "%" in text else ip_address(text)  # no zones: AWS refuses them
    except ValueError:
        return None


def _numeric(operand: object) -> Test:
    """`[operator, number]`, or `[">" or ">=", bottom, "<" or "<=", top]`."""
    if not isinstance(operand, list):
        raise refused("Value of numeric must be an array.")
    if not operand or not isinstance(operand[0], str):
        raise refused(f"Invalid member in numeric match: {_token(operand, 0)}")
    operator = operand[0]
    if operator not in ("=", "<", "<=", ">", ">="):
        raise refused(f"Unrecognized numeric range operator: {operator}")
    bottom, key = _read_bound(operand, 0)
    if operator == "=":
        low: float = key
        high: float = key
    elif operator in ("<", "<="):
        low, high = float("-inf"), key - (operator == "<")
    else:
        low, high = key + (operator == ">"), float("inf")
    if len(operand) > 2:
        if operator not in (">", ">="):
            raise refused("Too many elements in numeric expression")
        if not isinstance(operand[2], str):
            raise refused(f"Bad value in numeric range: {_token(operand, 2)}")
        if operand[2] not in ("<", "<="):
            raise refused(f"Bad numeric range operator: {operand[2]}")
        top, key = _read_bound(operand, 2)
        if len(operand) > 4:
            raise refused("Too many terms in numeric range expression")
        if bottom >= top:
            raise refused("Bottom must be less than top")
        high = key - (operand[2] == "<")

    def test(value: Scalar) -> bool:
        key = number_key(value)
        return key is not None and low <= key <= high

    return test


def _read_bound(operand: list[Any], at: int) -> tuple[float, int]:
    """The number after the operator at index `at`: as written, and as it is compared."""
    bound = operand[at + 1] if len(operand) > at + 1 else None
    if not _is_number(bound):
        name = "equals" if operand[at] == "=" else operand[at]
        raise refused(f"Value of {name} must be numeric")
    key = number_key(check_number(bound))
    assert bound is not None
    assert key is not None
    return bound, key


def _token(operand: list[Any], at: int) -> str:
    """The JSON token at an index, as AWS names it in an error."""
    if len(operand) <= at:
        return "]"
    value = operand[at]
    if isinstance(value, list | dict):
        return "[" if isinstance(value, list) else "{"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


OPERATORS: dict[str, Callable[[Any], Test]] = {
    "anything-but": _anything_but,
    "cidr": _cidr,
    "equals-ignore-case": _equals_ignore_case,
    "numeric": _numeric,
    "prefix": _prefix,
    "suffix": _suffix,
    "wildcard": _wildcard,
}
