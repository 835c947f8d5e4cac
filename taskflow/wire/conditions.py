"""The conditions of a policy, and how texts in a policy match: wildcards, ARNs, networks.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from operator import eq
from typing import Annotated

import msgspec

Value = str | bool | int | float
Values = Value | Annotated[list[Value], msgspec.Meta(min_length=1)]

# The keys whose absence from a request says something; any other unknown key says nothing.
KEYS = frozenset(
    {
        "aws:sourcearn",
        "aws:sourceaccount",
        "aws:sourceowner",
        "aws:securetransport",
        "aws:principalarn",
        "aws:principalaccount",
        "sns:endpoint",
        "sns:protocol",
    }
)


def listed(value: Values | Iterable[Value]) -> list[str]:
    """One value or several of a policy, as texts."""
    if isinstance(value, str | bool | int | float):
        value = [value]
    return [str(one).lower() if isinstance(one, bool) else str(one) for one in value]


def same_arn(pattern: str, arn: str) -> bool:
    """Field by field: a wildcard does not reach over a colon, but in the last field."""
    wanted, found = pattern.split(":", 5), arn.split(":", 5)
    if len(wanted) < 6:
        raise ValueError(f"{pattern!r} is no ARN")
    return len(found) == 6 and all(map(matches, wanted, found))


def matches(pattern: str, text: str) -> bool:
    """`*` and `?` are wildcards; fnmatch alone would read brackets too."""
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def _same_truth(wanted: str, found: str) -> bool:
    return wanted.lower() == found.lower()


def _in_network(wanted: str, found: str) -> bool:
    address = ipaddress.ip_address(found)
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address) in ipaddress.ip_network(wanted, strict=False)


# The test of each operator, and whether it is turned round. A test raises ValueError when the
# policy's value is none.
_OPERATORS: dict[str, tuple[Callable[[str, str], bool], bool]] = {
    "StringEquals": (eq, False),
    "StringNotEquals": (eq, True),
    "StringLike": (matches, False),
    "StringNotLike": (matches, True),
    "ArnEquals": (same_arn, False),
    "ArnNotEquals": (same_arn, True),
    "ArnLike": (same_arn, False),
    "ArnNotLike": (same_arn, True),
    "Bool": (_same_truth, False),
    "IpAddress": (_in_network, False),
    "NotIpAddress": (_in_network, True),
}


def hold(condition: Mapping[str, Mapping[str, Values]], facts: Mapping[str, str]) -> bool | None:
    """Whether all conditions hold; None when that cannot be known."""
    answers = {
        _compare(operator, key.lower(), listed(wanted), facts)
        for operator, keys in condition.items()
        for key, wanted in keys.items()
    }
    if False in answers:
        return False
    return None if None in answers else True


def _compare(
    operator: str, key: str, wanted: Iterable[str], facts: Mapping[str, str]
) -> bool | None:
    known = _OPERATORS.get(operator.removesuffix("IfExists"))
    if known is None or (key not in facts and key not in KEYS):
        return None
    test, turned = known
    if key not in facts:
        return turned or operator.endswith("IfExists")
    unsure = False
    for text in wanted:
        try:
            if test(text, facts[key]):
                return not turned
        except ValueError:
            unsure = True
    return None if unsure else turned
