"""How many slots a backlog asks for, by numbers alone."""

import pytest

from taskflow.worker.autoscale import Autoscale
from taskflow.worker.bounds import Bounds


def scale(least: int = 2, most: int = 32, size: int | None = None) -> Autoscale:
    found = Autoscale(Bounds(least, most))
    found.size = least if size is None else size
    return found


@pytest.mark.parametrize(
    ("size", "waiting", "mean", "after"),
    [
        (2, 0, 1.0, 2),
        (2, 2, 1.0, 2),  # a second's work for two
        (2, 3, 1.0, 3),
        (2, 4, 1.0, 4),
        (2, 5, 1.0, 4),  # doubled at most
        (2, 1000, 1.0, 4),
        (2, 30, 0.1, 3),  # not four, by how floats are rounded
        (2, 31, 0.1, 4),
        (2, 1000, 0.001, 2),
        (2, 1, 600.0, 4),
        (20, 1000, 1.0, 32),  # the most
        (32, 1000, 1.0, 32),
        (2, 1000, 0.0, 2),  # nothing is known of how long they take
    ],
)
def test_it_grows_at_once_to_what_would_begin_the_backlog_in_a_second(
    size: int, waiting: int, mean: float, after: int
) -> None:
    found = scale(size=size)
    assert found.look(0, waiting, mean, size, 0.5) == (after != size)
    assert found.size == after


def test_a_backlog_that_stays_is_followed_step_by_step() -> None:
    found = scale()
    sizes = []
    for second in range(6):
        found.look(second, 100, 1.0, found.size, 0.1)
        sizes.append(found.size)
    assert sizes == [4, 8, 16, 32, 32, 32]


def test_it_says_why() -> None:
    found = scale()
    assert found.reason == ""
    found.look(0, 64, 0.25, 2, 0.1)
    assert found.reason == "2 to 4: 64 or more wait, 250 ms each"
    found.look(1, 90, 1.5, 4, 0.1)
    assert found.reason == "4 to 8: 90 or more wait, 1.5 s each"
    found.look(2, 0, 1.5, 1, 0.1)
    assert found.reason == "4 to 8: 90 or more wait, 1.5 s each", "nothing has changed"
    found.look(32, 0, 1.5, 1, 0.1)
    assert found.reason == "8 to 7: 30 s with fewer at work"


def test_it_shrinks_after_half_a_minute_and_then_every_ten_seconds() -> None:
    found = scale(size=6)
    sizes = {}
    for second in range(70):
        found.look(second, 0, 1.0, 0, 0.1)
        sizes[second] = found.size
    changes = {second: size for second, size in sizes.items() if size != sizes.get(second - 1)}
    assert changes == {0: 6, 30: 5, 40: 4, 50: 3, 60: 2}, "never below the least"


@pytest.mark.parametrize(
    ("waiting", "busy"),
    [(6, 0), (0, 6)],  # so much waits again; all slots run something
)
def test_half_a_minute_begins_anew_when_all_are_needed(waiting: int, busy: int) -> None:
    found = scale(size=6)
    for second in range(29):
        assert not found.look(second, 0, 1.0, 1, 0.1)
    assert not found.look(29, waiting, 1.0, busy, 0.1)
    for second in range(30, 60):
        assert not found.look(second, 0, 1.0, 1, 0.1)
    assert found.look(60, 0, 1.0, 1, 0.1)
    assert found.size == 5


def test_a_slot_at_work_stays() -> None:
    found = scale(size=6)
    for second in range(200):
        found.look(second, 0, 1.0, 5, 0.1)
    assert found.size == 5


def test_after_growth_it_waits_half_a_minute_again() -> None:
    found = scale(size=6)
    for second in range(31):
        found.look(second, 0, 1.0, 0, 0.1)
    assert found.size == 5
    found.look(31, 10, 1.0, 5, 0.1)
    assert found.size == 10
    shrunk = [second for second in range(32, 80) if found.look(second, 0, 1.0, 0, 0.1)]
    assert shrunk == [62, 72]


def test_a_process_that_uses_its_core_does_not_grow_and_says_so_once() -> None:
    found = scale()
    assert found.look(0, 4, 1.0, 2, 0.9)
    assert found.size == 4, "up to 90 % it may"
    found = scale()
    assert found.look(0, 100, 1.0, 2, 0.97)
    assert (found.size, found.reason) == (
        2,
        "kept at 2: 100 or more wait, 1 s each, but the process uses 97% of a core",
    )
    assert not found.look(1, 100, 1.0, 2, 0.99)
    assert found.look(2, 100, 1.0, 2, 0.5)
    assert found.size == 4
    assert found.look(3, 100, 1.0, 4, 0.95), "the second time is news again"


def test_a_busy_core_keeps_nothing_from_shrinking() -> None:
    found = scale(size=3)
    for second in range(31):
        found.look(second, 0, 1.0, 1, 1.0)
    assert found.size == 2
