"""SNS subscription filter policies: what matches, what is refused, and in which words."""

import json
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from taskflow.errors import InvalidFilterPolicy
from taskflow.filters import parse_filter
from taskflow.message import Attribute

ATTRIBUTES: Literal["MessageAttributes"] = "MessageAttributes"
BODY: Literal["MessageBody"] = "MessageBody"


def number(text: str) -> Attribute:
    return Attribute("Number", text)


def array(*values: Any) -> Attribute:
    return Attribute("String.Array", json.dumps(values))


def matches_attributes(policy: object, attributes: Mapping[str, str | Attribute]) -> bool:
    return parse_filter(json.dumps(policy)).matches(attributes, "the body is not looked at")


def matches_body(policy: object, body: object) -> bool:
    return parse_filter(json.dumps(policy), BODY).matches({"a": "not looked at"}, json.dumps(body))


# One value under the key `a`: (what the policy holds, the value in a body, whether it matches).
VALUES: list[tuple[list[Any], Any, bool]] = [
    # exact
    (["rugby", "tennis"], "rugby", True),
    (["rugby", "tennis"], "tennis", True),
    (["rugby", "tennis"], "baseball", False),
    (["rugby"], "Rugby", False),
    (["rugby"], "rugby ", False),
    ([""], "", True),
    (["é"], "é", True),
    ([100], 100, True),
    ([100], 100.0, True),
    ([100.0], 100, True),
    ([301.5], 3.015e2, True),
    ([100], 101, False),
    ([100], "100", False),
    (["100"], 100, False),
    ([True], True, True),
    ([True], False, False),
    ([False], False, True),
    ([True], 1, False),
    ([1], True, False),
    ([0], False, False),
    ([True], "true", False),
    (["true"], True, False),
    ([None], None, True),
    ([None], "null", False),
    ([None], False, False),
    ([None], 0, False),
    (["null"], None, False),
    ([0], None, False),
    (["a", 1, None, True], True, True),
    (["a", 1, None, True], 2, False),
    # six digits after the point, of which AWS promises five; later ones do not count
    ([100.123456789], 100.1234567, True),
    ([0.00001], 0.00002, False),
    ([0.00001], 0.00001, True),
    ([1.000001], 1, False),
    ([1.0000001], 1, True),
    ([-1.5], -1.5, True),
    ([-1.5], 1.5, False),
    ([0], -0.0, True),
    ([1e9], 1000000000, True),
    ([-1e9], -1e9, True),
    ([1e9], 1e10, False),
    ([1e9], 1e308, False),
    ([1e9], 10**400, False),
    # prefix, suffix, case
    ([{"prefix": "bas"}], "baseball", True),
    ([{"prefix": "bas"}], "bas", True),
    ([{"prefix": "bas"}], "Baseball", False),
    ([{"prefix": "bas"}], "rugby", False),
    ([{"prefix": ""}], "rugby", True),
    ([{"prefix": "1"}], 12, False),
    ([{"prefix": "t"}], True, False),
    ([{"prefix": "n"}], None, False),
    ([{"suffix": "ball"}], "baseball", True),
    ([{"suffix": "ball"}], "ballet", False),
    ([{"suffix": "2"}], 12, False),
    ([{"equals-ignore-case": "tennis"}], "TENNIS", True),
    ([{"equals-ignore-case": "TenNis"}], "teNnis", True),
    ([{"equals-ignore-case": "tennis"}], "tennis court", False),
    ([{"equals-ignore-case": "ΟΔΟΣ"}], "οδος", True),
    ([{"equals-ignore-case": "1"}], 1, False),
    # wildcard
    ([{"wildcard": "*ball"}], "baseball", True),
    ([{"wildcard": "*ball"}], "ball", True),
    ([{"wildcard": "*ball"}], "ballet", False),
    ([{"wildcard": "log-*-2025.txt"}], "log-app-2025.txt", True),
    ([{"wildcard": "log-*-2025.txt"}], "log-2025.txt", False),
    ([{"wildcard": "*/src/*.js"}], "app/src/index.js", True),
    ([{"wildcard": "*/src/*.js"}], "app/lib/index.js", False),
    ([{"wildcard": "*/src/*.js"}], "app/src.js", False),
    ([{"wildcard": "a*a*a*a"}], "aaaa", True),
    ([{"wildcard": "a*a*a*a"}], "aaa", False),
    ([{"wildcard": "ab*ba"}], "aba", False),
    ([{"wildcard": "a*bc*c"}], "abc", False),
    ([{"wildcard": "a*bc*c"}], "abcc", True),
    ([{"wildcard": "*"}], "", True),
    ([{"wildcard": "*"}], 5, False),
    ([{"wildcard": "plain"}], "plain", True),
    ([{"wildcard": "plain"}], "plainer", False),
    ([{"wildcard": r"a\*b"}], "a*b", True),
    ([{"wildcard": r"a\*b"}], "axb", False),
    ([{"wildcard": r"a\\*b"}], "a\\xb", True),
    ([{"wildcard": r"a\\*b"}], "axb", False),
    ([{"wildcard": "a?c"}], "abc", False),
    ([{"wildcard": "a.c*"}], "abc", False),
    ([{"wildcard": "*b"}], "a\nb", True),
    # anything-but
    ([{"anything-but": "rugby"}], "tennis", True),
    ([{"anything-but": "rugby"}], "rugby", False),
    ([{"anything-but": ["rugby", "tennis"]}], "football", True),
    ([{"anything-but": ["rugby", "tennis"]}], "tennis", False),
    ([{"anything-but": 100}], 100.1, True),
    ([{"anything-but": 100}], 100.0, False),
    ([{"anything-but": [100, 500]}], 500, False),
    ([{"anything-but": [100, 500]}], 2e9, True),
    ([{"anything-but": "rugby"}], 5, True),
    ([{"anything-but": "rugby"}], None, True),
    ([{"anything-but": 100}], "100", True),
    ([{"anything-but": {"prefix": "order-"}}], "data-entry", True),
    ([{"anything-but": {"prefix": "order-"}}], "order_number", True),
    ([{"anything-but": {"prefix": "order-"}}], "order-cancelled", False),
    ([{"anything-but": {"suffix": "ball"}}], "hockey", True),
    ([{"anything-but": {"suffix": "ball"}}], "baseball", False),
    ([{"anything-but": {"wildcard": "*ball"}}], "rugby", True),
    ([{"anything-but": {"wildcard": "*ball"}}], "football", False),
    ([{"anything-but": {"wildcard": "*"}}], 5, True),
    ([{"anything-but": {"wildcard": ""}}], "x", True),
    ([{"anything-but": {"wildcard": ""}}], "", False),
    # numeric
    ([{"numeric": ["=", 301.5]}], 301.5, True),
    ([{"numeric": ["=", 301.5]}], 301.6, False),
    ([{"numeric": ["=", 301.5]}], "301.5", False),
    ([{"numeric": ["<", 0]}], -0.00001, True),
    ([{"numeric": ["<", 0]}], 0, False),
    ([{"numeric": ["<=", 0]}], 0, True),
    ([{"numeric": ["<=", 0]}], 0.00001, False),
    ([{"numeric": [">", 100]}], 100, False),
    ([{"numeric": [">", 100]}], 100.00001, True),
    ([{"numeric": [">=", 100]}], 100, True),
    ([{"numeric": [">=", 100]}], 99.99999, False),
    ([{"numeric": [">", 0, "<=", 150]}], 150, True),
    ([{"numeric": [">", 0, "<=", 150]}], 0, False),
    ([{"numeric": [">", 0, "<=", 150]}], 151, False),
    ([{"numeric": [">=", 0, "<", 150]}], 0, True),
    ([{"numeric": [">=", 0, "<", 150]}], 150, False),
    ([{"numeric": [">=", -1e9, "<=", 1e9]}], 1e9, True),
    ([{"numeric": [">=", -1e9]}], 1e10, False),
    ([{"numeric": [">", 0]}], True, False),
    ([{"numeric": [">=", 0]}], None, False),
    # cidr
    ([{"cidr": "10.0.0.0/24"}], "10.0.0.0", True),
    ([{"cidr": "10.0.0.0/24"}], "10.0.0.255", True),
    ([{"cidr": "10.0.0.0/24"}], "10.1.1.0", False),
    ([{"cidr": "10.0.0.77/24"}], "10.0.0.5", True),
    ([{"cidr": "10.0.0.1/32"}], "10.0.0.1", True),
    ([{"cidr": "10.0.0.1/32"}], "10.0.0.2", False),
    ([{"cidr": "0.0.0.0/0"}], "255.255.255.255", True),
    ([{"cidr": "0.0.0.0/0"}], "::1", False),
    ([{"cidr": "0.0.0.0/0"}], "a host", False),
    ([{"cidr": "0.0.0.0/0"}], "1.2.3", False),
    ([{"cidr": "0.0.0.0/0"}], 16909060, False),
    ([{"cidr": "fe80::/10"}], "fe80::1%eth0", False),
    ([{"cidr": "2001:db8::/32"}], "2001:db8:ffff::1", True),
    ([{"cidr": "2001:db8::/32"}], "2001:DB8:0:0:0:0:0:1", True),
    ([{"cidr": "2001:db8::/32"}], "2001:db9::", False),
    ([{"cidr": "::1/128"}], "::1", True),
    # several operators under one key: one is enough
    (["prod", {"wildcard": "staging-*"}], "staging-us", True),
    (["prod", {"wildcard": "staging-*"}], "prod", True),
    (["prod", {"wildcard": "staging-*"}], "test", False),
    ([{"prefix": "a"}, {"suffix": "z"}], "abc", True),
    ([{"prefix": "a"}, {"suffix": "z"}], "xyz", True),
    ([{"prefix": "a"}, {"suffix": "z"}], "mmm", False),
    ([{"anything-but": {"prefix": "a"}}, {"anything-but": {"prefix": "b"}}], "abc", True),
]


@pytest.mark.parametrize(("wanted", "value", "expected"), VALUES)
def test_a_body_value_against_what_a_key_holds(
    wanted: list[Any], value: Any, expected: bool
) -> None:
    assert matches_body({"a": wanted}, {"a": value, "other": 1}) is expected


@pytest.mark.parametrize(("wanted", "value", "expected"), VALUES)
def test_an_element_of_an_array_attribute_is_as_good_as_a_body_value(
    wanted: list[Any], value: Any, expected: bool
) -> None:
    assert matches_attributes({"a": wanted}, {"a": array(value)}) is expected


@pytest.mark.parametrize(
    ("wanted", "value", "expected"), [each for each in VALUES if isinstance(each[1], str)]
)
@pytest.mark.parametrize("kind", ["", "String", "String.mine"])
def test_a_text_attribute_matches_as_text(
    wanted: list[Any], value: str, expected: bool, kind: str
) -> None:
    attribute = Attribute(kind, value) if kind else value
    assert matches_attributes({"a": wanted}, {"a": attribute}) is expected


@pytest.mark.parametrize(
    ("wanted", "value", "expected"), [each for each in VALUES if type(each[1]) in (int, float)]
)
@pytest.mark.parametrize("kind", ["Number", "Number.int"])
def test_a_number_attribute_matches_as_a_number(
    wanted: list[Any], value: float, expected: bool, kind: str
) -> None:
    assert matches_attributes({"a": wanted}, {"a": Attribute(kind, str(value))}) is expected


@pytest.mark.parametrize(
    ("wanted", "attribute", "expected"),
    [
        ([{"numeric": ["=", 301.5]}], number("3.015e2"), True),
        ([5], number("+5"), True),
        ([5], number("5."), True),
        ([0.5], number(".5"), True),
        # what is no number matches nothing, not even anything-but
        ([{"anything-but": 5}], number("five"), False),
        ([{"anything-but": 5}], number(""), False),
        ([{"anything-but": 5}], number("nan"), False),
        ([{"anything-but": 5}], number("1_0"), False),
        ([{"anything-but": 5}], number("٥"), False),
        ([{"numeric": [">", 0]}], number("inf"), False),
        ([{"numeric": [">", 0]}], "5", False),
        # arrays: any element
        (["rugby"], array("tennis", "rugby"), True),
        (["rugby"], array("tennis", "golf"), False),
        ([100], array("tennis", 100), True),
        ([True], array(False, True), True),
        ([None], array(None), True),
        (["true"], array(True), False),
        ([{"numeric": ["<", 60]}], array(100, 50), True),
        ([{"numeric": ["<", 50]}], array(100, 50), False),
        (["rugby"], array(["golf", ["rugby"]]), True),
        (["rugby"], array({"sport": "rugby"}), False),
        ([{"anything-but": "golf"}], array({"sport": "rugby"}), False),
        (["rugby"], array(), False),
        ([{"anything-but": ["rugby", "tennis"]}], array("rugby", "baseball"), True),
        ([{"anything-but": ["rugby", "tennis"]}], array("rugby", "tennis"), False),
        ([{"anything-but": ["rugby", "tennis"]}], array(), False),
        ([{"anything-but": {"suffix": "ball"}}], array("baseball", "basketball"), False),
        ([100], Attribute("Number.Array", "[100, 50]"), True),
        ([{"anything-but": [100, 500]}], Attribute("Number.Array", "[100, 50]"), True),
        ([100], Attribute("String.Array", "100"), True),
        (["one"], Attribute("String.Array", '"one"'), True),
        (["one"], Attribute("String.Array", "one"), False),
        ([{"anything-but": "two"}], Attribute("String.Array", "one"), False),
        ([{"anything-but": "two"}], Attribute("String.Array", "[" * 100_000), False),
        (["rugby"], '["rugby"]', False),
        (["rugby"], Attribute("String", '["rugby"]'), False),
        # binary
        (["rugby"], Attribute("Binary", b"rugby"), False),
        ([{"anything-but": "rugby"}], Attribute("Binary", b"tennis"), False),
        ([{"anything-but": "rugby"}], Attribute("Binary.gif", b"tennis"), False),
        ([{"exists": True}], Attribute("Binary", b"tennis"), True),
        ([{"exists": False}], Attribute("Binary", b"tennis"), False),
        # exists
        ([{"exists": True}], "fans", True),
        ([{"exists": True}], number("5"), True),
        ([{"exists": True}], Attribute("String.Array", "no JSON"), True),
        ([{"exists": True}], "", False),
        ([{"exists": False}], "", False),
        ([{"exists": False}], "fans", False),
        ([{"exists": False}, "fans"], "fans", True),
        ([{"exists": False}, {"exists": True}], "fans", True),
    ],
)
def test_attributes_of_each_type(
    wanted: list[Any], attribute: str | Attribute, expected: bool
) -> None:
    assert matches_attributes({"a": wanted}, {"a": attribute, "b": "x"}) is expected


@pytest.mark.parametrize(
    ("wanted", "attributes", "expected"),
    [
        (["x"], {}, False),
        (["x"], {"b": "x"}, False),
        ([None], {"b": "x"}, False),
        ([{"anything-but": "x"}], {"b": "x"}, False),
        ([None, {"anything-but": "x"}], {}, False),
        ([{"exists": True}], {"b": "x"}, False),
        ([{"exists": False}], {"b": "x"}, True),
        ([{"anything-but": "x"}, {"exists": False}], {"b": "x"}, True),
        ([{"exists": False}], {}, False),
        ([{"exists": False}], {"A": "names have a case"}, True),
    ],
)
def test_a_missing_attribute_matches_exists_false_alone(
    wanted: list[Any], attributes: dict[str, str], expected: bool
) -> None:
    assert matches_attributes({"a": wanted}, attributes) is expected


@pytest.mark.parametrize(
    ("policy", "body", "expected"),
    [
        # every key must match
        ({"a": [1], "b": [2]}, {"a": 1, "b": 2}, True),
        ({"a": [1], "b": [2]}, {"a": 1, "b": 3}, False),
        ({"a": [1], "b": [2]}, {"a": 1}, False),
        # nested keys
        ({"a": {"b": {"c": ["x"]}}}, {"a": {"b": {"c": "x"}}}, True),
        ({"a": {"b": {"c": ["x"]}}}, {"a": {"b": {"c": "y"}}}, False),
        ({"a": {"b": {"c": ["x"]}}}, {"a": {"b": "x"}}, False),
        ({"a": {"b": ["x"]}}, {"b": "x"}, False),
        ({"a": ["x"]}, {"a": {"b": "x"}}, False),
        ({"a": {"b": ["x"], "c": ["y"]}}, {"a": {"b": "x", "c": "y"}}, True),
        ({"a": {"b": ["x"], "c": ["y"]}}, {"a": {"b": "x"}}, False),
        # keys with dots
        ({"a.b": ["x"]}, {"a": {"b": "x"}}, True),
        ({"a": {"b": ["x"]}}, {"a.b": "x"}, True),
        ({"a.b.c": ["x"]}, {"a": {"b": {"c": "x"}}}, True),
        ({"a.b.c": ["x"]}, {"a.b.c": "x"}, True),
        ({"a.b.c": ["x"]}, {"a.b": {"c": "x"}}, True),
        ({"a.b.c": ["x"]}, {"a": {"b.c": "x"}}, True),
        ({"a.b.c": ["x"]}, {"a": {"b": {"c": "y"}}, "a.b": {"c": "x"}}, True),
        ({"a.b.c": ["x"]}, {"a": {"b": {"c": "y"}}}, False),
        ({"a.b": ["x"]}, {"axb": "x"}, False),
        ({".": ["x"]}, {"": {"": "x"}}, True),
        ({"a.": ["x"]}, {"a": {"": "x"}}, True),
        ({"a.": ["x"]}, {"a": "x"}, False),
        ({"": ["x"]}, {"": "x"}, True),
        # arrays
        ({"h": {"to": ["q1"]}}, {"h": {"to": ["q1", "q2"]}}, True),
        ({"h": {"to": ["q1"]}}, {"h": {"to": ["q2", "q3"]}}, False),
        ({"a": [{"anything-but": ["x", "y"]}]}, {"a": ["x", "z"]}, True),
        ({"a": [{"anything-but": ["x", "y"]}]}, {"a": ["x", "y"]}, False),
        ({"a": [{"anything-but": ["x", "y"]}]}, {"a": []}, False),
        ({"a": ["x"]}, {"a": [[["x"]]]}, True),
        ({"a": {"b": ["x"]}}, {"a": [{"b": "y"}, {"b": "x"}]}, True),
        ({"a": {"b": ["x"]}}, {"a": [{"b": "y"}, {"c": "x"}]}, False),
        ({"a": {"b": ["x"]}}, {"a": [[[{"b": ["z", "x"]}]]]}, True),
        ({"a": {"b": ["x"]}}, {"a": ["x", {"b": 1}]}, False),
        ({"a": {"b": ["x"], "c": ["y"]}}, {"a": [{"b": "x"}, {"c": "y"}]}, True),
        ({"a": {"b": ["x"], "c": ["y"]}}, {"a": [{"b": "x"}, {"c": "z"}]}, False),
        # exists: leaves only, and only filled ones
        ({"a": [{"exists": True}]}, {"a": 0}, True),
        ({"a": [{"exists": True}]}, {"a": False}, True),
        ({"a": [{"exists": True}]}, {"a": None}, False),
        ({"a": [{"exists": True}]}, {"a": ""}, False),
        ({"a": [{"exists": True}]}, {"a": []}, False),
        ({"a": [{"exists": True}]}, {"a": ["", 1]}, True),
        ({"a": [{"exists": True}]}, {"a": {"b": 1}}, False),
        ({"a": [{"exists": True}]}, {"b": 1}, False),
        ({"a": [{"exists": False}]}, {"b": 1}, True),
        ({"a": [{"exists": False}]}, {"a": 1}, False),
        ({"a": [{"exists": False}]}, {"a": None}, False),
        ({"a": [{"exists": False}]}, {"a": {"b": 1}}, True),
        ({"a": {"b": [{"exists": False}]}}, {"c": 1}, True),
        ({"a": {"b": [{"exists": False}]}}, {"a": {"b": 1}}, False),
        ({"a": {"b": [{"exists": False}]}}, {"a": [{"b": 1}, {"c": 1}]}, False),
        # a body that is no object
        ({"a": [{"exists": False}]}, [], False),
        ({"a": [{"exists": False}]}, "text", False),
        ({"a": [{"exists": False}]}, None, False),
        ({"a": [1]}, [{"a": 1}], False),
    ],
)
def test_the_body_as_a_tree(policy: object, body: object, expected: bool) -> None:
    assert matches_body(policy, body) is expected


NEW_FILES = {
    "Records": {
        "s3": {"object": {"key": [{"prefix": "auto-"}]}},
        "eventName": [{"prefix": "ObjectCreated:"}],
    }
}


@pytest.mark.parametrize(
    ("event", "key", "expected"),
    [
        ("ObjectCreated:Put", "auto-1.xml", True),
        ("ObjectRemoved:Delete", "auto-1.xml", False),
        ("ObjectCreated:Put", "home-1.xml", False),
    ],
)
def test_an_s3_notification(event: str, key: str, expected: bool) -> None:
    record = {"eventSource": "aws:s3", "eventName": event, "s3": {"object": {"key": key}}}
    assert matches_body(NEW_FILES, {"Records": [record]}) is expected


METRICS = {
    "$or": [{"metric": ["CPU", "Latency"]}, {"namespace": ["EC2", "ES"]}],
    "detail": {"scope": ["Service"], "$or": [{"source": ["watch"]}, {"type": ["Change"]}]},
}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"metric": "CPU", "detail": {"scope": "Service", "source": "watch"}}, True),
        ({"metric": "CPU", "detail": {"scope": "Service", "type": "Change"}}, True),
        ({"namespace": "ES", "detail": {"scope": "Service", "source": "watch"}}, True),
        ({"namespace": "ES", "detail": {"scope": "Service", "type": "Change"}}, True),
        ({"metric": "CPU", "detail": {"scope": "watch", "type": "Change"}}, False),
        ({"metric": "CPU", "detail": {"scope": "Service", "type": "CPU"}}, False),
        ({"metric": "CPU", "detail": {"type": "Change"}}, False),
        ({"metric": "CPU", "detail": {"scope": "Service"}}, False),
        ({"metric": "EC2", "detail": {"scope": "Service", "type": "Change"}}, False),
        ({"detail": {"scope": "Service", "type": "Change"}}, False),
        ({"metric": "CPU", "source": "watch", "detail": {"scope": "Service"}}, False),
    ],
)
def test_or_at_the_top_and_inside_a_key(body: object, expected: bool) -> None:
    assert matches_body(METRICS, body) is expected


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"source": "x", "metric": "CPU"}, True),
        ({"source": "x", "kind": "M", "id": number("1")}, True),
        ({"source": "x", "kind": "M", "space": number("2")}, True),
        ({"source": "x", "kind": "M"}, False),
        ({"source": "x", "id": number("1")}, False),
        ({"metric": "CPU"}, False),
        ({"source": "y", "metric": "CPU"}, False),
    ],
)
def test_or_inside_or_on_attributes(attributes: dict[str, str | Attribute], expected: bool) -> None:
    inner = {"kind": ["M"], "$or": [{"id": [1]}, {"space": [2]}]}
    policy = {"source": ["x"], "$or": [{"metric": ["CPU"]}, inner]}
    assert matches_attributes(policy, attributes) is expected


@pytest.mark.parametrize(
    "values", [["x"], ["x", "y"], [{"prefix": "x"}, {"suffix": "z"}], ["x", 1]]
)
def test_or_without_two_plain_objects_is_an_ordinary_key(values: list[Any]) -> None:
    assert matches_body({"$or": values}, {"$or": "x"})
    assert not matches_body({"$or": values}, {"x": "x"})


def test_or_with_an_object_is_an_ordinary_nested_key() -> None:
    assert matches_body({"$or": {"a": ["x"]}}, {"$or": {"a": "x"}})


@pytest.mark.parametrize("scope", [ATTRIBUTES, BODY])
@pytest.mark.parametrize("body", ["", "text", "[]", "{}", "{"])
def test_the_empty_policy_matches_everything(scope: Any, body: str) -> None:
    assert parse_filter(" {} ", scope).matches({}, body)


@pytest.mark.parametrize(
    "body",
    [
        *("", " ", "text", "{", '{"a": 1} x', "{'a': 1}", "NaN", '{"a": NaN}', '{"a": -Infinity}'),
        pytest.param("\ufeff{}", id="byte order mark"),
        pytest.param("\ud800", id="surrogate"),
        pytest.param('{"a":' * 100_000, id="deep"),
    ],
)
def test_a_body_that_is_no_json_never_matches(body: str) -> None:
    assert not parse_filter('{"b": [{"exists": false}]}', BODY).matches({}, body)


@pytest.mark.parametrize(
    "oddity",
    [
        '"\\ud83d"',
        "1e400",
        "-1e999",
        pytest.param("9" * 5000, id="digits"),
        "1e-400",
        '"\\u0000"',
        "[[[[1]]]]",
    ],
)
def test_odd_json_elsewhere_in_the_body_does_not_hide_a_match(oddity: str) -> None:
    want = parse_filter('{"a": ["x"], "n": [{"numeric": ["=", 7]}]}', BODY)
    assert want.matches({}, f'{{"odd": {oddity}, "a": "x", "n": 7}}')
    assert not want.matches({}, f'{{"odd": {oddity}, "a": "y", "n": 7}}')


def test_filters_do_not_see_each_others_body() -> None:
    one, two = parse_filter('{"a": [1]}', BODY), parse_filter('{"a": [2]}', BODY)
    for body, wanted in [('{"a": 1}', [True, False]), ('{"a": 2}', [False, True])]:
        assert [each.matches({}, body) for each in (one, two)] == wanted


def test_a_policy_is_compiled_once_for_each_scope() -> None:
    policy = '{"once": ["x"]}'
    assert parse_filter(policy) is parse_filter(policy, ATTRIBUTES)
    assert parse_filter(policy) is not parse_filter(policy, BODY)
    assert parse_filter(policy, BODY).matches({}, '{"once": "x"}')
    assert not parse_filter(policy, BODY).matches({"once": "x"}, "{}")


@pytest.mark.parametrize(
    ("policy", "body"),
    [
        ({"a": [{"wildcard": "*a*a*b"}]}, {"a": "a" * 500_000}),
        ({"a": [{"cidr": "::/0"}]}, {"a": ":" * 500_000}),
        ({"a": [{"equals-ignore-case": "x"}]}, {"a": "İ" * 500_000}),
        ({"a": {"b": ["x"]}}, {"a": [{"b": 1}] * 50_000}),
        ({".".join("k" * 150): ["x"]}, {"k": {"k": {"k.k": {"k.k.k": 1}}}}),
        ({"a": [0]}, {"a": "9" * 500_000}),
    ],
)
def test_hostile_bodies_do_not_match(policy: object, body: object) -> None:
    assert not matches_body(policy, body)


OPERATORS = ["prefix", "suffix", "equals-ignore-case", "wildcard", "anything-but", "numeric",
             "exists", "cidr", "$or", "exactly"]  # fmt: skip
KEYS = ["a", "b", "a.b", "", "."]
NAMES = st.sampled_from([*KEYS, *OPERATORS]) | st.text(max_size=3)
WORDS = st.sampled_from(["a", "*a", "a*b", "\\", "=", "<", ">=", "10.0.0.0/8", "::/0", "10.1.2.3"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | WORDS
    | st.text(st.characters(), max_size=5)
)


def trees(names: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
        max_leaves=20,
    )


TREES = trees(NAMES)
EXPRESSIONS = st.dictionaries(NAMES, TREES, min_size=1, max_size=1) | SCALARS
RANDOM_POLICIES = TREES | st.dictionaries(
    NAMES, TREES | st.lists(EXPRESSIONS, min_size=1, max_size=3), min_size=1, max_size=3
)

NUMBERS = st.integers(-3, 3) | st.floats(-1e9, 1e9)
TEXTS = st.text("ab.1:", max_size=4)
SIMPLE = st.none() | st.booleans() | NUMBERS | TEXTS
UNWANTED = NUMBERS | TEXTS | st.lists(NUMBERS, min_size=1) | st.lists(TEXTS, min_size=1)
GOOD_VALUES = st.one_of(
    SIMPLE,
    st.builds(lambda name, text: {name: text}, st.sampled_from(OPERATORS[:3]), TEXTS),
    st.sampled_from([{"wildcard": "a*"}, {"wildcard": "*b"}, {"cidr": "::/0"}]),
    st.sampled_from([{"exists": True}, {"exists": False}, {"anything-but": {"wildcard": "*"}}]),
    UNWANTED.map(lambda unwanted: {"anything-but": unwanted}),
    st.builds(
        lambda operator, bound: {"numeric": [operator, bound]},
        st.sampled_from(["=", "<", "<=", ">", ">="]),
        NUMBERS,
    ),
)
GOOD_RULES = st.dictionaries(
    st.sampled_from(KEYS), st.lists(GOOD_VALUES, min_size=1, max_size=2), min_size=1, max_size=2
)
GOOD_POLICIES = GOOD_RULES | st.builds(
    lambda rules, branches: {**rules, "$or": branches},
    GOOD_RULES,
    st.lists(GOOD_RULES, min_size=2, max_size=3),
)

MESSAGE_ATTRIBUTES = st.dictionaries(
    st.sampled_from(KEYS) | NAMES,
    st.text(max_size=5)
    | WORDS
    | TEXTS
    | st.builds(
        Attribute,
        st.sampled_from(["String", "Number", "Binary", "String.Array", "Number.Array", "X", ""]),
        st.text(max_size=5) | st.binary(max_size=5) | WORDS | (TREES | NUMBERS).map(json.dumps),
    ),
    max_size=4,
)
BODIES = (
    trees(st.sampled_from(KEYS)).map(json.dumps)
    | st.dictionaries(st.sampled_from(KEYS), SIMPLE | TREES).map(json.dumps)
    | st.text(max_size=10)
    | st.text(st.characters(), max_size=3)
)


@given(
    RANDOM_POLICIES | GOOD_POLICIES,
    st.sampled_from([ATTRIBUTES, BODY]),
    MESSAGE_ATTRIBUTES,
    BODIES,
)
@example({"a": [{"numeric": [">", 0]}]}, BODY, {}, '{"a": ' + "[" * 900 + "]" * 900 + "}")
@example({"a": [0]}, BODY, {}, '{"a": ' + "9" * 10_000 + "}")
@example({"a": [{"anything-but": "x"}]}, ATTRIBUTES, {"a": Attribute("Number", "9" * 500)}, "")
def test_any_policy_is_refused_or_answers_any_message(
    policy: object,
    scope: Literal["MessageAttributes", "MessageBody"],
    attributes: dict[str, str | Attribute],
    body: str,
) -> None:
    try:
        compiled = parse_filter(json.dumps(policy), scope)
    except InvalidFilterPolicy as refused:
        str(refused).encode()  # fit to be sent
        return
    assert compiled.matches(attributes, body) in (True, False)


@given(GOOD_POLICIES, MESSAGE_ATTRIBUTES, BODIES)
def test_a_good_policy_answers_any_message(
    policy: object, attributes: dict[str, str | Attribute], body: str
) -> None:
    text = json.dumps(policy)
    assert parse_filter(text).matches(attributes, body) in (True, False)
    assert parse_filter(text, BODY).matches(attributes, body) in (True, False)


@given(UNWANTED, SIMPLE)
def test_anything_but_is_the_opposite_of_exact_for_one_value(unwanted: Any, value: object) -> None:
    wanted = unwanted if isinstance(unwanted, list) else [unwanted]
    exact = matches_body({"a": wanted}, {"a": value})
    assert matches_body({"a": [{"anything-but": unwanted}]}, {"a": value}) is not exact


@given(GOOD_RULES, GOOD_RULES, st.dictionaries(st.sampled_from(KEYS), SIMPLE | st.lists(SIMPLE)))
def test_or_is_or(one: object, other: object, body: object) -> None:
    either = matches_body(one, body) or matches_body(other, body)
    assert matches_body({"$or": [one, other]}, body) is either


@given(st.text(st.characters()) | st.text(st.sampled_from('{}[]":,a$or1e.-\\u ')))
def test_any_text_is_a_policy_or_refused(text: str) -> None:
    try:
        compiled = parse_filter(text)
    except InvalidFilterPolicy:
        return
    assert compiled.matches({}, text) in (True, False)


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_numbers_that_differ_in_five_digits_are_told_apart(one: float, two: float) -> None:
    one, two = round(one, 5), round(two, 5)
    body = json.dumps({"a": two})
    for operator, expected in [("=", one == two), ("<", two < one), (">=", two >= one)]:
        want = parse_filter(json.dumps({"a": [{"numeric": [operator, one]}]}), BODY)
        assert want.matches({}, body) is expected


@given(st.lists(st.sampled_from(["a", "b", "*"]), max_size=6), st.text("ab", max_size=8))
def test_a_wildcard_matches_what_a_naive_matcher_matches(parts: list[str], text: str) -> None:
    pattern = "".join(parts)
    if "**" in pattern or pattern.count("*") > 3:
        return
    assert matches_body({"a": [{"wildcard": pattern}]}, {"a": text}) is naive_match(pattern, text)


def naive_match(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(naive_match(pattern[1:], text[start:]) for start in range(len(text) + 1))
    return text[:1] == pattern[0] and naive_match(pattern[1:], text[1:])
