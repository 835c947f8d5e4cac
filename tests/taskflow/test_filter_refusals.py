"""SNS subscription filter policies: what is refused, in which words, and where the limits are.

The words are those of AWS as recorded; where no record is known, those of its Event Ruler.
"""

import json
from typing import Any, Literal

import pytest

from taskflow.errors import InvalidFilterPolicy
from taskflow.filters import parse_filter

ATTRIBUTES: Literal["MessageAttributes"] = "MessageAttributes"
BODY: Literal["MessageBody"] = "MessageBody"

OUT_OF_RANGE = "Value must be between -1.0E9 and 1.0E9, inclusive"
MIXED = (
    "Inside anything but list, either all values are number or string, mixed type is not supported"
)


def refusal(policy: object, scope: Any = ATTRIBUTES) -> str:
    text = policy if isinstance(policy, str) else json.dumps(policy)
    with pytest.raises(InvalidFilterPolicy) as caught:
        parse_filter(text, scope)
    return str(caught.value)


MALFORMED: tuple[Any, ...] = (100, None, True, [], ["a", "b"], {"equals-ignore-case": "a"})


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([], "Empty arrays are not allowed"),
        ([["value"]], "Match value must be String, number, true, false, or null"),
        ([{}], "Match expression name not found"),
        ([{"wrong-operator": True}], "Unrecognized match type wrong-operator"),
        ([{"suffix": "a", "prefix": "b"}], "Only one key allowed in match expression"),
        (["fine", {"prefix": "fine"}, {"no": 1}], "Unrecognized match type no"),
        *[
            ([{operator: operand}], f"{operator} match pattern must be a string")
            for operator in ("prefix", "suffix", "equals-ignore-case", "wildcard")
            for operand in MALFORMED
        ],
        *[
            ([{"exists": operand}], "exists match pattern must be either true or false.")
            for operand in (*MALFORMED[:2], "no", 1, 0, [], {})
        ],
        ([1e9 + 1], OUT_OF_RANGE),
        ([-1e9 - 1], OUT_OF_RANGE),
        ([10**30], OUT_OF_RANGE),
        # numeric
        ([{"numeric": 5}], "Value of numeric must be an array."),
        ([{"numeric": []}], "Invalid member in numeric match: ]"),
        ([{"numeric": [1, "<="]}], "Invalid member in numeric match: 1"),
        ([{"numeric": [None]}], "Invalid member in numeric match: null"),
        ([{"numeric": [[]]}], "Invalid member in numeric match: ["),
        ([{"numeric": ["operator"]}], "Unrecognized numeric range operator: operator"),
        ([{"numeric": ["=", "000"]}], "Value of equals must be numeric"),
        ([{"numeric": ["=", True]}], "Value of equals must be numeric"),
        ([{"numeric": [">="]}], "Value of >= must be numeric"),
        ([{"numeric": ["=", 2e9]}], OUT_OF_RANGE),
        ([{"numeric": ["=", 1, "<", 2]}], "Too many elements in numeric expression"),
        ([{"numeric": ["<", 100, ">", 10]}], "Too many elements in numeric expression"),
        ([{"numeric": [">", 20, 30]}], "Bad value in numeric range: 30"),
        ([{"numeric": [">", 20, False]}], "Bad value in numeric range: false"),
        ([{"numeric": [">", 20, {}]}], "Bad value in numeric range: {"),
        ([{"numeric": [">=", 1, ">", 2]}], "Bad numeric range operator: >"),
        ([{"numeric": [">", 20, "test"]}], "Bad numeric range operator: test"),
        ([{"numeric": [">", 20, "<="]}], "Value of <= must be numeric"),
        ([{"numeric": [">", "20", "<", "30"]}], "Value of > must be numeric"),
        ([{"numeric": [">", 20, "<", "30"]}], "Value of < must be numeric"),
        ([{"numeric": [">", 20, "<", -2e9]}], OUT_OF_RANGE),
        ([{"numeric": [">", 3, "<", 1]}], "Bottom must be less than top"),
        ([{"numeric": [">=", 3, "<=", 3]}], "Bottom must be less than top"),
        (
            [{"numeric": [">", 20, "<", 30, "<", 50]}],
            "Too many terms in numeric range expression",
        ),
        # anything-but
        *[
            (
                [{"anything-but": operand}],
                "Value of anything-but must be an array or single string/number value.",
            )
            for operand in (None, True)
        ],
        *[
            (
                [{"anything-but": operand}],
                "Inside anything but list, start|null|boolean is not supported.",
            )
            for operand in ([None], ["a", True], [["a"]], [{"prefix": "a"}])
        ],
        *[([{"anything-but": operand}], MIXED) for operand in ([], ["a", 1])],
        ([{"anything-but": [2e9]}], OUT_OF_RANGE),
        ([{"anything-but": {}}], "Anything-But expression name not found"),
        ([{"anything-but": {"wrong": None}}], "Unsupported anything-but pattern: wrong"),
        ([{"anything-but": {"exists": False}}], "Unsupported anything-but pattern: exists"),
        (
            [{"anything-but": {"equals-ignore-case": "a"}}],
            "Unsupported anything-but pattern: equals-ignore-case",
        ),
        ([{"anything-but": {"prefix": False}}], "prefix match pattern must be a string"),
        ([{"anything-but": {"suffix": ["a"]}}], "suffix match pattern must be a string"),
        ([{"anything-but": {"prefix": ""}}], "Null prefix/suffix not allowed"),
        ([{"anything-but": {"suffix": ""}}], "Null prefix/suffix not allowed"),
        (
            [{"anything-but": {"prefix": "a", "suffix": "b"}}],
            "Only one key allowed in match expression",
        ),
        # wildcard
        ([{"wildcard": "abc**def"}], "Consecutive wildcard characters at pos 4"),
        ([{"wildcard": "é**"}], "Consecutive wildcard characters at pos 3"),
        ([{"wildcard": r"a\bc"}], "Invalid escape character at pos 2"),
        ([{"wildcard": "a\\"}], "Invalid escape character at pos 2"),
        (
            [{"wildcard": "*a*b*c*"}],
            "Filter policy is too complex: more than 3 wildcards in one pattern",
        ),
        (
            [{"anything-but": {"wildcard": "*a*b*c*"}}],
            "Filter policy is too complex: more than 3 wildcards in one pattern",
        ),
        # cidr
        ([{"cidr": 10}], "prefix match pattern must be a string"),
        ([{"cidr": "10.0.0.0"}], "Malformed CIDR, one '/' required"),
        ([{"cidr": "10.0.0.0/8/8"}], "Malformed CIDR, one '/' required"),
        ([{"cidr": "10.0.0.0/"}], "Malformed CIDR, mask bits must be an integer"),
        ([{"cidr": "10.0.0.0/bad"}], "Malformed CIDR, mask bits must be an integer"),
        ([{"cidr": "10.0.0.0/255.0.0.0"}], "Malformed CIDR, mask bits must be an integer"),
        ([{"cidr": "10.0.0.0/-1"}], "Malformed CIDR, mask bits must not be negative"),
        ([{"cidr": "10.0.0.0/33"}], "IPv4 mask bits must be < 33"),
        ([{"cidr": "::/129"}], "IPv6 mask bits must be < 129"),
        ([{"cidr": "::/" + "9" * 5000}], "IPv6 mask bits must be < 129"),
        ([{"cidr": "bad-filter/24"}], "Nonstandard IP address: bad-filter"),
        ([{"cidr": "300.0.0.0/24"}], "Nonstandard IP address: 300.0.0.0"),
        ([{"cidr": "fe80::1%eth0/64"}], "Nonstandard IP address: fe80::1%eth0"),
    ],
)
def test_values_that_are_refused(values: list[Any], reason: str) -> None:
    assert refusal({"key": values}) == f"FilterPolicy: {reason}"


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        pytest.param("", "failed to parse JSON.", id="empty"),
        ("{invalidjson}", "failed to parse JSON."),
        ('{"a": [NaN]}', "failed to parse JSON."),
        ('{"a": ["\\ud83d"]}', "failed to parse JSON."),
        pytest.param('{"a": ["\ud83d"]}', "failed to parse JSON.", id="surrogate"),
        pytest.param('{"a":' * 50_000, "failed to parse JSON.", id="deep"),
        ("[]", "Filter is not an object"),
        ('"text"', "Filter is not an object"),
        ("null", "Filter is not an object"),
        ({"key_a": "value_one"}, '"key_a" must be an object or an array'),
        ({"key_a": None}, '"key_a" must be an object or an array'),
        ({"key": {"suffix": "value"}}, '"suffix" must be an object or an array'),
        ({"key": {"suffix": "a", "prefix": "b"}}, '"suffix" must be an object or an array'),
        ({"key": {}}, "Empty objects are not allowed"),
        ({"$or": [{}, {"a": ["b"]}]}, "Empty objects are not allowed"),
        ({"$or": [{"a": "b"}, {"c": ["d"]}]}, '"a" must be an object or an array'),
        ({"$or": "x"}, '"$or" must be an object or an array'),
        ({"$or": []}, "Empty arrays are not allowed"),
        ({"$or": [{"a": ["b"]}]}, "Unrecognized match type a"),
        ({"$or": [{"numeric": 123}, {"prefix": "abc"}]}, "Value of numeric must be an array."),
        ({"$or": [{"a": ["b"]}, {"prefix": ["c"]}]}, "Unrecognized match type a"),
    ],
)
def test_policies_that_are_refused(policy: object, reason: str) -> None:
    assert refusal(policy) == f"FilterPolicy: {reason}"


def test_an_unknown_scope_is_refused() -> None:
    assert refusal({"a": ["b"]}, "RandomValue") == (
        "FilterPolicyScope: Invalid value [RandomValue]. "
        "Please use either MessageBody or MessageAttributes"
    )


@pytest.mark.parametrize(
    "policy",
    [
        {"object": {"key": [{"prefix": "auto-"}]}},
        {"a": ["b"], "$or": [{"c": ["d"]}, {"e": {"f": ["g"]}}]},
    ],
)
def test_nesting_is_for_bodies_alone(policy: object) -> None:
    assert refusal(policy) == (
        "Filter policy scope MessageAttributes does not support nested filter policy"
    )
    parse_filter(json.dumps(policy), BODY)


TOO_COMPLEX = "FilterPolicy: Filter policy is too complex"
TOO_MANY_KEYS = "FilterPolicy: Filter policy can not have more than 5 keys"


def values(count: int) -> list[str]:
    return [f"value{index}" for index in range(count)]


def keys(count: int) -> dict[str, list[str]]:
    return {f"key{index}": ["x"] for index in range(count)}


def nest(depth: int, inner: object) -> object:
    for _ in range(depth):
        inner = {"k": inner}
    return inner


def chain_or(levels: int) -> object:
    policy: object = {"a": [1]}
    for _ in range(levels):
        policy = {"$or": [{"a": [1]}, policy]}
    return policy


FLAT_OR = {
    "source": values(3),
    "$or": [
        {"name": values(6)},
        {"type": values(4), "$or": [{"id": values(4)}, {"space": values(7)}]},
    ],
}
NESTED_OR = {
    "$or": [{"metric": values(3)}, {"namespace": values(2)}],
    "detail": {"scope": values(2), "$or": [{"source": ["a"]}, {"type": values(3)}]},
}


@pytest.mark.parametrize(
    ("policy", "scope"),
    [
        (keys(5), ATTRIBUTES),
        ({"key": values(150)}, ATTRIBUTES),
        ({"a": values(10), "b": values(5), "c": values(3)}, ATTRIBUTES),
        (FLAT_OR, ATTRIBUTES),  # 3*6 + 3*4*4 + 3*4*7 = 150
        (nest(2, keys(4)), BODY),  # four leaves at level 3: 81
        ({"a": {"b": {"c": values(4)}}, "d": {"e": values(3)}}, BODY),  # 3*4 * 2*3 = 72
        (nest(149, {"k": ["x"]}), BODY),
        ({"$or": [keys(5), {"a": ["b"]}]}, ATTRIBUTES),
        ({"a": [{"wildcard": f"*{digit}"} for digit in range(10)]}, ATTRIBUTES),  # 10 * 10
        ({"a": [{"wildcard": "a*b*c*d"}] * 3}, ATTRIBUTES),  # 27 * 3
        ({"a": [{"anything-but": "a"}] * 11}, ATTRIBUTES),  # no wildcard, no points
        (chain_or(100), ATTRIBUTES),
    ],
)
def test_the_largest_policies(policy: object, scope: Any) -> None:
    parse_filter(json.dumps(policy), scope)


@pytest.mark.parametrize(
    ("policy", "scope", "reason"),
    [
        (keys(6), ATTRIBUTES, TOO_MANY_KEYS),
        ({"top": keys(3), "a": ["x"], "b": ["x"], "c": ["x"]}, BODY, TOO_MANY_KEYS),
        ({**keys(5), "$or": [{"a": ["b"]}, {"c": ["d"]}]}, ATTRIBUTES, TOO_MANY_KEYS),
        ({"key": values(151)}, ATTRIBUTES, TOO_COMPLEX),
        ({"key1": values(100), "key2": values(51)}, ATTRIBUTES, TOO_COMPLEX),
        ({**FLAT_OR, "source": values(4)}, ATTRIBUTES, TOO_COMPLEX),
        (NESTED_OR, BODY, TOO_COMPLEX),  # 160
        (
            {"a": {"b": {"c": values(4)}}, "d": {"e": values(3)}, "f": values(3)},
            BODY,
            TOO_COMPLEX,
        ),  # 216
        (nest(150, {"k": ["x"]}), BODY, TOO_COMPLEX),
        (nest(400, {"k": ["x"]}), BODY, TOO_COMPLEX),
        (chain_or(150), ATTRIBUTES, TOO_COMPLEX),
        (chain_or(300), ATTRIBUTES, TOO_COMPLEX),
        ({".".join("k" * 151): ["x"]}, BODY, TOO_COMPLEX),
        ({"a": [{"wildcard": f"*{digit}"} for digit in range(11)]}, ATTRIBUTES, TOO_COMPLEX),
        ({"a": [{"wildcard": "a*b*c"}] * 5}, ATTRIBUTES, TOO_COMPLEX),  # 30 * 5
        (
            {"a": [{"wildcard": "a*b*c*d"}] * 3, "b": [{"wildcard": f"*{n}"} for n in range(5)]},
            ATTRIBUTES,
            TOO_COMPLEX,
        ),  # 81 + 25
        (
            {"a": [*[{"anything-but": "a"}] * 10, {"anything-but": {"wildcard": "a*"}}]},
            ATTRIBUTES,
            TOO_COMPLEX,
        ),  # 11 * 11
    ],
)
def test_policies_over_a_limit(policy: object, scope: Any, reason: str) -> None:
    assert refusal(policy, scope) == reason


def test_the_largest_policy_in_bytes() -> None:
    policy = json.dumps({"a": ["é"]}, ensure_ascii=False)
    room = 256 * 1024 - len(policy.encode())
    assert parse_filter(policy + " " * room).matches({"a": "é"}, "")
    assert refusal(policy + " " * (room + 1)) == (
        "FilterPolicy: Filter policy can not be larger than 256 KB"
    )


def test_a_hostile_wildcard_is_refused() -> None:
    assert refusal({"a": [{"wildcard": "\\*" * 50_000 + "**"}]}).endswith("at pos 100001")
