"""The name rules and limits of SNS and SQS."""

import math
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.errors import InvalidName, LimitExceeded
from taskflow.limits import (
    MAX_ATTRIBUTES,
    MAX_MESSAGE_BYTES,
    check_message,
    check_queue,
    check_seconds,
    check_topic,
)

WORD = st.text(string.ascii_letters + string.digits + "_", min_size=1, max_size=20)


@given(st.lists(WORD, min_size=1, max_size=12))
def test_words_joined_by_dots_are_a_topic(words: list[str]) -> None:
    name = ".".join(words)
    assert check_topic(name) == name


@given(st.lists(WORD, min_size=1, max_size=12))
def test_a_topic_and_its_aws_name_map_both_ways(words: list[str]) -> None:
    name = check_topic(".".join(words))
    assert name.replace(".", "-").replace("-", ".") == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "a.", ".a", "a..b", "a-b", "a b", "ä", "a\n", "a/b", "a" * 257, None, 5, ["a"]],
)
def test_what_is_no_topic_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(InvalidName, match=r"letters, digits and '_' in words joined by '\.'"):
        check_topic(name)


@given(st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=80))
def test_queue_names_are_those_of_sqs(name: str) -> None:
    assert check_queue(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "a.b", "a b", "q" * 81, "é", "a\n", "a.fif", ".fifo", "q" * 76 + ".fifo", "a/b/c", None],
)
def test_what_is_no_queue_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(InvalidName, match="80 characters at most"):
        check_queue(name)


def test_a_message_may_be_exactly_as_large_as_allowed() -> None:
    check_message("x" * MAX_MESSAGE_BYTES, {})
    check_message("x" * (MAX_MESSAGE_BYTES - 10), {"é": "12"})
    with pytest.raises(LimitExceeded, match=f"{MAX_MESSAGE_BYTES + 1} bytes"):
        check_message("x" * (MAX_MESSAGE_BYTES + 1), {})
    with pytest.raises(LimitExceeded, match=f"{MAX_MESSAGE_BYTES + 1} bytes"):
        check_message("x" * (MAX_MESSAGE_BYTES - 10), {"é": "123"})


def test_an_empty_body_is_refused() -> None:
    with pytest.raises(LimitExceeded, match="empty"):
        check_message("", {})


@pytest.mark.parametrize("character", ["\0", "\x1f", "\ufffe", "\uffff", "\ud800"])
def test_a_character_that_sqs_forbids_is_named_with_its_place(character: str) -> None:
    with pytest.raises(LimitExceeded) as caught:
        check_message(f"ab{character}", {})
    assert f"U+{ord(character):04X} at 2" in str(caught.value)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")))
def test_other_characters_are_allowed(text: str) -> None:
    check_message(f"\t\n\r{text}", {})


def test_ten_attributes_are_allowed() -> None:
    many = {f"a{number}": "x" for number in range(MAX_ATTRIBUTES)}
    check_message("x", many)
    with pytest.raises(LimitExceeded, match="11 message attributes; 10 are allowed"):
        check_message("x", many | {"more": "x"})


@given(st.floats(0, 10))
def test_seconds_within_their_bounds_pass(seconds: float) -> None:
    check_seconds("delay", seconds, 0, 10)


@pytest.mark.parametrize("seconds", [-0.001, 10.001, math.inf, -math.inf, math.nan])
def test_seconds_outside_are_refused_with_the_bounds(seconds: float) -> None:
    with pytest.raises(LimitExceeded, match=r"delay is \S+ s; 0 to 10 are allowed"):
        check_seconds("delay", seconds, 0, 10)


def test_seconds_that_are_no_number_are_refused() -> None:
    with pytest.raises(LimitExceeded, match="delay is '5'; a number of seconds"):
        check_seconds("delay", "5", 0, 10)  # type: ignore[arg-type]
