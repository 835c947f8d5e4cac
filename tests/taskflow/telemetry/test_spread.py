"""Counts of how many took how long."""

import pytest

from taskflow.telemetry.spread import LONGEST, SHORTEST, added, bound, number_of, number_within


@pytest.mark.parametrize("seconds", [0.0011, 0.5, 1.0, 1.1, 64.0, 86400.0])
def test_a_time_is_rounded_up_by_four_tenths_at_most(seconds: float) -> None:
    assert seconds <= bound(number_of(seconds)) <= seconds * 1.42


def test_each_bound_is_its_own_and_what_is_more_is_the_next() -> None:
    for number in range(SHORTEST, LONGEST):
        assert number_of(bound(number)) == number
        assert number_of(bound(number) * 1.0001) == number + 1


def test_what_is_too_short_or_too_long_has_a_number_too() -> None:
    assert number_of(-5.0) == number_of(0.0) == SHORTEST
    assert number_of(1e12) == LONGEST


def test_a_part_of_all() -> None:
    counts = added([{0: 5}, {0: 4, 10: 1}])
    assert counts == {0: 9, 10: 1}
    assert (number_within(counts, 0.5), number_within(counts, 0.99)) == (0, 10)
    assert number_within({}, 0.5) is None
    assert number_within({3: 0}, 0.5) is None
