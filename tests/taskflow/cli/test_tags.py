"""`taskflow tags`."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from taskflow import Broker

Run = Callable[..., Result]
pytestmark = pytest.mark.usefixtures("broker")


@pytest.mark.parametrize("name", ["plain", "order.created"])
def test_tags_are_set_shown_and_removed(run: Run, name: str) -> None:
    assert run("tags", name, "team=shop", "formula=a=b", "empty=").exit_code == 0
    heads, *lines = run("tags", name).output.splitlines()
    assert heads.split() == ["KEY", "VALUE"]
    assert [line.split() for line in lines] == [["empty"], ["formula", "a=b"], ["team", "shop"]]
    changed = run("tags", name, "team=billing", "--remove", "empty", "--remove", "nosuch", "--json")
    assert json.loads(changed.output) == {"formula": "a=b", "team": "billing"}


def test_they_are_those_of_the_broker(run: Run, broker: Broker) -> None:
    run("tags", "plain", "a=1")
    assert broker.describe_queue("plain").tags == {"a": "1"}
    broker.tag_topic("order.created", {"b": "2"})
    assert json.loads(run("tags", "order.created", "--json").output) == {"b": "2"}


def test_without_tags_it_says_so(run: Run) -> None:
    assert run("tags", "plain").output == "no tags on queue plain\n"
    assert run("tags", "order.created").output == "no tags on topic order.created\n"
    assert run("tags", "plain", "--json").output == "{}\n"


def test_a_name_of_both_wants_a_choice(run: Run, broker: Broker) -> None:
    broker.create_topic("plain")
    refused = run("tags", "plain", "a=1")
    assert (refused.exit_code, "say --queue or --topic" in refused.stderr) == (2, True)
    assert run("tags", "plain", "a=1", "--topic").exit_code == 0
    assert run("tags", "plain", "a=2", "--queue").exit_code == 0
    assert broker.describe_topic("plain").tags == {"a": "1"}
    assert broker.describe_queue("plain").tags == {"a": "2"}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["plian", "a=1"], "no queue or topic named 'plian'; known: order.created, plain (did you"),
        (["plain", "--topic"], "no topic named 'plain'"),
        (["plain", "a=1", "b"], "the tag 'b' is not written as key=value"),
        (["plain", "=1"], "the tag '=1' is not written as key=value"),
        (["plain", "a=1", "a=2"], "the tag 'a' is there twice"),
        (["plain", "a=1", "--remove", "a"], "the tag 'a' is to be set and removed"),
        (["plain", f"{'k' * 129}=1"], "128 characters for a key"),
        (["plain", f"k={'v' * 257}"], "256 for a value"),
        (["plain", "k=\udcff"], "is no UTF-8"),
        (["plain", "--remove", "\udcff"], "is no UTF-8"),
        (["plain", *(f"k{number}=1" for number in range(51))], "would have 51 tags; 50"),
    ],
)
def test_bad_input_exits_2_and_sets_nothing(
    run: Run, broker: Broker, arguments: list[str], reason: str
) -> None:
    result = run("tags", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in result.stderr
    assert broker.describe_queue("plain").tags == {}
