"""Finds what the tables of differences say of a test."""

import re
from collections.abc import Iterator, Mapping, Sequence

from taskflow.testing.contract.differs import Differs
from tests.contract import aws_differences, moto_differences

Table = Mapping[str, Sequence[str]]
Tables = Sequence[tuple[Table, Differs | None]]

TABLES: dict[str, list[tuple[Table, bool | None]]] = {
    "aws": [(aws_differences.DIFFERS, True), (aws_differences.NOT_RUN, False)],
    "moto": [
        (moto_differences.DIFFERS, True),
        (moto_differences.NOT_RUN, False),
        (moto_differences.PASSES, None),
        (aws_differences.DIFFERS, True),
        (aws_differences.NOT_RUN, False),
    ],
}
"""For each broker its tables, the first that names a test decides: whether the test is run, and
must fail; None where it passes."""


def find(broker: str, name: str) -> Differs | None:
    """What is known to differ on this broker in the test of that name."""
    full = bare(broker, name)
    names = {full, full.partition("[")[0]}
    for table, run in TABLES.get(broker, ()):
        for why, tests in table.items():
            if not names.isdisjoint(tests):
                return None if run is None else Differs(f"{broker}: {why}", run)
    return None


def bare(broker: str, name: str) -> str:
    """The name of a test without the broker among its parameters."""
    return re.sub(rf"\b{broker}-|-{broker}\b|\[{broker}\]", "", name)


def named(broker: str) -> Iterator[str]:
    """Every test that a table of this broker names."""
    for table, _ in TABLES[broker]:
        for tests in table.values():
            yield from tests
