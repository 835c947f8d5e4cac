"""Marks: behind what to look for what is due, and when to look further back."""

import pytest

from taskflow.stores.postgres.watermarks import (
    LASTS,
    LONGEST,
    NEAR_LASTS,
    SHARE,
    SLACK,
    START,
    Watermarks,
)
from taskflow.testing import ManualClock

QUEUE = 7
POINT = (500.0, 40)
NEAR = (500.0 - SLACK, 0)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture
def marks(clock: ManualClock) -> Watermarks:
    """After a look that took no time: the server is near."""
    found = Watermarks(clock)
    found.looked(QUEUE + 1, POINT, START, found.elapsed())
    return found


def look(marks: Watermarks, clock: ManualClock, took: float, start: tuple[float, int]) -> None:
    since = marks.elapsed()
    clock.advance(took)
    marks.looked(QUEUE, POINT, start, since)


def test_looks_begin_behind_the_mark_a_little_before_it_or_at_the_beginning(
    marks: Watermarks, clock: ManualClock
) -> None:
    assert marks.due_from(QUEUE) == START
    look(marks, clock, 0.0, START)
    assert marks.due_from(QUEUE) == POINT
    clock.advance(NEAR_LASTS)
    assert marks.due_from(QUEUE) == NEAR
    look(marks, clock, 0.0, POINT)  # it was another thread's: no look from a little before
    assert marks.due_from(QUEUE) == NEAR
    look(marks, clock, 0.0, NEAR)
    assert marks.due_from(QUEUE) == POINT
    clock.advance(LASTS)
    assert marks.due_from(QUEUE) == START
    look(marks, clock, 0.0, NEAR)
    assert marks.due_from(QUEUE) == START
    look(marks, clock, 0.0, START)
    marks.forget()
    assert marks.due_from(QUEUE) == START


@pytest.mark.parametrize(("took", "lasts"), [(0.01, LASTS), (0.1, 0.1 * SHARE), (9.0, LONGEST)])
def test_a_look_that_takes_long_is_rarer(
    marks: Watermarks, clock: ManualClock, took: float, lasts: float
) -> None:
    look(marks, clock, took, START)
    clock.advance(lasts - 0.01)
    assert marks.due_from(QUEUE) != START
    clock.advance(0.02)
    assert marks.due_from(QUEUE) == START


def test_where_nothing_is_found_the_next_look_is_from_the_beginning_unless_those_are_slow(
    marks: Watermarks, clock: ManualClock
) -> None:
    assert marks.due_after_nothing(QUEUE, marks.elapsed()) == START
    look(marks, clock, 0.001, START)
    assert marks.due_after_nothing(QUEUE, marks.elapsed()) == START
    look(marks, clock, 0.01, START)
    assert marks.due_after_nothing(QUEUE, marks.elapsed()) == NEAR
    clock.advance(0.01 * SHARE - 0.01)
    look(marks, clock, 0.001, NEAR)
    assert marks.due_after_nothing(QUEUE, marks.elapsed()) == NEAR
    clock.advance(0.01)
    assert marks.due_after_nothing(QUEUE, marks.elapsed()) == START


def test_the_way_to_a_far_server_makes_no_look_a_slow_one(clock: ManualClock) -> None:
    far = Watermarks(clock)

    def nothing(took: float) -> tuple[float, int]:
        since = far.elapsed()
        clock.advance(took)
        return far.due_after_nothing(QUEUE, since)

    def ask() -> float | None:
        clock.advance(0.05)
        return None

    assert nothing(0.05) == START
    look(far, clock, 0.051, START)
    assert nothing(0.05) == START
    assert far.next_due(QUEUE, clock.now(), ask) is None  # nobody looks again and again
    clock.advance(LASTS)
    assert far.due_from(QUEUE) == START
    look(far, clock, 0.06, START)
    assert nothing(0.05) == NEAR
    far.forget()  # as when it is another server
    look(far, clock, 0.1, START)
    assert nothing(0.1) == START
    for _ in range(100):  # it becomes farther
        nothing(0.2)
    clock.advance(LONGEST)
    look(far, clock, 0.2, START)
    assert nothing(0.2) == START


def test_what_is_due_again_is_looked_for_a_little_before_the_mark(
    marks: Watermarks, clock: ManualClock
) -> None:
    marks.due_again(QUEUE)
    look(marks, clock, 0.0, START)
    marks.due_again(QUEUE)
    assert marks.due_from(QUEUE) == NEAR
    marks.due_again(QUEUE, since=300.0)
    assert marks.due_from(QUEUE) == (300.0 - SLACK, 0)


def test_a_slow_look_for_what_is_due_next_is_not_repeated_at_once(
    marks: Watermarks, clock: ManualClock
) -> None:
    answers: list[float | None] = [1500.0, 1000.7, None]
    asked = []

    def slow() -> float | None:
        clock.advance(0.01)
        asked.append(clock.now())
        return answers[len(asked) - 1]

    pause = 0.01 * SHARE
    for number in range(3):
        known = answers[number]
        again = clock.now() + pause
        times = [marks.next_due(QUEUE, clock.now(), slow)]
        for _ in range(2):
            clock.advance(0.1)
            times.append(marks.next_due(QUEUE, clock.now(), slow))
        assert len(asked) == number + 1
        if known is None or known > again:
            assert times == pytest.approx([again] * 3, abs=0.011)
        else:
            assert times[0] == known
        clock.advance(pause)


def test_what_is_hidden_meanwhile_is_known_though_looks_for_it_are_slow(
    marks: Watermarks, clock: ManualClock
) -> None:
    def slow() -> float | None:
        clock.advance(0.1)
        marks.hidden(QUEUE, 1001.4)  # which it does not see any more
        return 1002.5

    until = 1000.0 + SHARE * 0.1
    assert marks.next_due(QUEUE, clock.now(), slow) == 1001.4
    marks.hidden(QUEUE, 1000.6)
    marks.hidden(QUEUE, 1000.3)
    assert marks.next_due(QUEUE, clock.now(), slow) == 1000.3
    clock.advance(0.3)
    assert marks.next_due(QUEUE, clock.now(), slow) == 1000.6
    clock.advance(1.0)
    assert marks.next_due(QUEUE, clock.now(), slow) == 1002.5
    clock.advance(1.2)
    assert marks.next_due(QUEUE, clock.now(), slow) == pytest.approx(until)


def test_a_quick_look_for_what_is_due_next_tells_what_there_is_but_for_slow_looks_at_what_is_due(
    marks: Watermarks, clock: ManualClock
) -> None:
    assert marks.next_due(QUEUE, 1000.0, lambda: None) is None
    assert marks.next_due(QUEUE, 1000.0, lambda: 1500.0) == 1500.0
    look(marks, clock, 0.01, START)
    assert marks.next_due(QUEUE, 1000.0, lambda: 1500.0) == pytest.approx(1000.0 + 0.01 * SHARE)
    assert marks.next_due(QUEUE, 1000.0, lambda: 1000.1) == 1000.1
    clock.advance(0.01 * SHARE)
    assert marks.next_due(QUEUE, 1000.0, lambda: None) is None


def test_what_is_due_again_during_a_look_is_looked_for_after_it(
    marks: Watermarks, clock: ManualClock
) -> None:
    look(marks, clock, 0.0, START)
    since = marks.elapsed()
    clock.advance(0.001)
    marks.due_again(QUEUE, 300.0)
    clock.advance(0.001)
    marks.looked(QUEUE, POINT, POINT, since)
    assert marks.due_from(QUEUE) == (300.0 - SLACK, 0)
    look(marks, clock, 0.0, (300.0 - SLACK, 0))
    assert marks.due_from(QUEUE) == POINT


def test_the_earliest_of_what_is_due_again_during_a_look_counts(
    marks: Watermarks, clock: ManualClock
) -> None:
    look(marks, clock, 0.0, START)
    since = marks.elapsed()
    for again in (300.0, 400.0, float("inf")):
        clock.advance(0.001)
        marks.due_again(QUEUE, again)
    marks.looked(QUEUE, POINT, POINT, since)
    assert marks.due_from(QUEUE) == (300.0 - SLACK, 0)
    clock.advance(2 * LASTS)
    marks.due_again(QUEUE, 450.0)
    marks.looked(QUEUE, POINT, START, marks.elapsed())
    assert marks.due_from(QUEUE) == (450.0 - SLACK, 0)
