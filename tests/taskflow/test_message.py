"""Ids, and what a message refuses to be."""

import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.errors import LimitExceeded
from taskflow.message import Message, new_id

MILLISECONDS = st.integers(0, 2**48 - 1)
SEEDS = st.integers(0, 2**32).map(random.Random)


@given(MILLISECONDS, SEEDS)
def test_an_id_is_a_uuid_of_version_7_with_its_time(moment: int, source: random.Random) -> None:
    text = new_id(moment / 1000 + 0.0001, source)
    found = uuid.UUID(text)
    assert str(found) == text
    assert (found.version, found.variant) == (7, uuid.RFC_4122)
    assert found.int >> 80 == pytest.approx(moment, abs=1)


@given(st.lists(st.integers(0, 2**37), min_size=2, max_size=9, unique=True), SEEDS)
def test_ids_sort_by_time(moments: list[int], source: random.Random) -> None:
    ids = [new_id(float(moment), source) for moment in sorted(moments)]
    assert ids == sorted(ids)


def test_ids_of_one_moment_differ() -> None:
    source = random.Random(1)
    assert len({new_id(1000.0, source) for _ in range(10_000)}) == 10_000


def test_the_same_seed_gives_the_same_ids() -> None:
    assert new_id(1.0, random.Random(7)) == new_id(1.0, random.Random(7))


@pytest.mark.parametrize("delay", [-1.0, float("nan")])
def test_a_delay_that_cannot_be_is_refused(delay: float) -> None:
    with pytest.raises(LimitExceeded, match="delay"):
        Message("1", "x", {}, delay)


def test_a_message_is_checked_when_it_is_made() -> None:
    with pytest.raises(LimitExceeded, match="empty"):
        Message("1", "")
