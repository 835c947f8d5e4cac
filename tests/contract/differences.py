"""Finds what the tables of differences say of a test."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from taskflow.testing.contract.differs import Differs
from tests.contract import aws_differences, moto_differences, sharded_differences

Table = Mapping[str, Sequence[str]]
Treatment = Literal["fails", "is not run", "may fail", "passes"]

TABLES: dict[str, list[tuple[Table, Treatment]]] = {
    "sharded": [(sharded_differences.BY_CHANCE, "may fail")],
    "aws": [(aws_differences.DIFFERS, "fails"), (aws_differences.NOT_RUN, "is not run")],
    "moto": [
        (moto_differences.DIFFERS, "fails"),
        (moto_differences.NOT_RUN, "is not run"),
        (moto_differences.PASSES, "passes"),
        (aws_differences.DIFFERS, "fails"),
        (aws_differences.NOT_RUN, "is not run"),
    ],
}
"""For each broker its tables, the first that names a test decides what becomes of it."""


def find(broker: str, name: str) -> Differs | None:
    """What is known to differ on this broker in the test of that name."""
    full = bare(broker, name)
    names = {full, full.partition("[")[0]}
    for table, treatment in TABLES.get(broker, ()):
        for why, tests in table.items():
            if not names.isdisjoint(tests):
                if treatment == "passes":
                    return None
                return Differs(
                    f"{broker}: {why}",
                    run=treatment != "is not run",
                    always=treatment != "may fail",
                )
    return None


def bare(broker: str, name: str) -> str:
    """The name of a test without the broker among its parameters."""
    return re.sub(rf"\b{broker}-|-{broker}\b|\[{broker}\]", "", name)


def named(broker: str) -> Iterator[str]:
    """Every test that a table of this broker names."""
    for table, _ in TABLES[broker]:
        for tests in table.values():
            yield from tests
