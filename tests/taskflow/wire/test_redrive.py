"""Redrive policies, and which queue may be a dead-letter queue of another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.errors import LimitExceeded
from taskflow.limits import MAX_RECEIVES
from taskflow.wire.redrive import (
    HEADROOM,
    check_target,
    read_redrive,
    read_redrive_allow,
    target_fault,
    with_headroom,
    without_headroom,
    write_redrive,
    write_redrive_allow,
)
from tests.taskflow.wire.test_queue_attributes import NAMES, arn_of, name_of


@given(NAMES, st.integers(1, MAX_RECEIVES))
def test_a_policy_comes_back_as_it_was(name: str, receives: int) -> None:
    assert read_redrive(write_redrive(arn_of(name), receives)) == (arn_of(name), receives)
    assert read_redrive(write_redrive(arn_of(name))) == (arn_of(name), 0)


@given(st.none() | st.lists(NAMES).map(tuple))
def test_who_may_redrive_comes_back_as_it_was(sources: tuple[str, ...] | None) -> None:
    assert read_redrive_allow(write_redrive_allow(sources, arn_of), name_of) == sources


@pytest.mark.parametrize("text", [None, "", "{}"])
def test_no_policy_is_none(text: str | None) -> None:
    assert read_redrive(text) is None
    assert read_redrive_allow(text, name_of) is None


@given(st.integers(1, MAX_RECEIVES))
def test_what_sqs_is_told_is_read_as_what_was_meant(receives: int) -> None:
    told = with_headroom(receives)
    assert receives <= told <= MAX_RECEIVES
    assert without_headroom(told) == min(receives, MAX_RECEIVES - HEADROOM)


@pytest.mark.parametrize(
    ("queue", "target", "sources", "fault", "text"),
    [
        ("work", "work", None, "itself", "queue 'work' cannot be its own dead-letter queue"),
        ("work", "dlq.fifo", None, "kind", "'dlq.fifo' and 'work' differ"),
        ("work.fifo", "dlq", None, "kind", "'dlq' and 'work.fifo' differ"),
        ("work", "dlq", (), "forbidden", "queue 'dlq' does not allow 'work'"),
        ("work", "dlq", ("other",), "forbidden", "does not allow 'work' to use it"),
        ("work", "dlq", ("other", "work"), None, None),
        ("work.fifo", "dlq.fifo", None, None, None),
    ],
)
def test_a_queue_that_cannot_be_the_dead_letter_queue_is_refused(
    queue: str, target: str, sources: tuple[str, ...] | None, fault: str | None, text: str | None
) -> None:
    assert target_fault(queue, target, sources) == fault
    if text is None:
        check_target(queue, target, sources)
    else:
        with pytest.raises(LimitExceeded, match=text):
            check_target(queue, target, sources)
