"""The tables of differences name tests that there are."""

import pytest

from taskflow.testing import contract
from tests.contract import test_deduplication, test_settings
from tests.contract.differences import TABLES, bare, find, named


@pytest.mark.parametrize("broker", TABLES)
def test_a_table_names_tests_that_there_are(broker: str) -> None:
    known = {*contract.__all__, *vars(test_settings), *vars(test_deduplication)}
    assert {name for name in named(broker) if name.partition("[")[0] not in known} == set()


def test_no_test_is_named_twice() -> None:
    names = list(named("aws"))
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("test_a[moto]", "test_a"), ("test_a[moto-x]", "test_a[x]"), ("test_a[x-moto]", "test_a[x]")],
)
def test_a_name_is_found_whatever_the_place_of_the_broker(name: str, expected: str) -> None:
    assert bare("moto", name) == expected


def test_what_moto_does_otherwise_than_aws_counts_there() -> None:
    name = "test_the_destination_is_of_the_same_kind"
    assert find("moto", f"{name}[moto]") is None
    differs = find("aws", f"{name}[aws]")
    assert differs is not None
    assert not differs.run
    assert find("memory", f"{name}[memory]") is None
