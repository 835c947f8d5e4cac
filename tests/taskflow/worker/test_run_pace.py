"""Whether threads help is found out: short runs look slow beside others, slow ones do not alone."""

import pytest

from taskflow.worker.run_pace import FIRST_PAUSE, LENGTH, SHORT, RunPace

THREADS = 8


class Crowd:
    """Handlers that compute for `busy` seconds and wait for `waits`, in one thread while they are
    taken for short, in eight otherwise: each of those waits for the others' computing."""

    def __init__(self, busy: float, waits: float = 0.0) -> None:
        self.pace = RunPace()
        self.now = 100.0
        self.busy, self.waits = busy, waits
        self.alone = 0.0

    def run(self, seconds: float) -> None:
        """Let them run for so long."""
        end = self.now + seconds
        while self.now < end:
            if self.pace.is_short:
                began, self.now = self.now, self.now + self.busy + self.waits
                self.alone += self.now - began
                self.pace.note(began, self.now, 0)
                continue
            began = self.now
            self.now += max(THREADS * self.busy, self.busy + self.waits)
            for beside in reversed(range(THREADS)):
                self.pace.note(began, self.now, beside)


def test_it_is_slow_until_most_of_the_last_runs_were_short() -> None:
    pace = RunPace()
    for number in range(LENGTH):
        assert pace.is_short == (number > LENGTH // 2)
        pace.note(1.0, 1.0 + SHORT / 2, 0)
    assert pace.seconds == pytest.approx(SHORT / 2)


def test_one_that_waited_for_the_processor_says_nothing() -> None:
    crowd = Crowd(SHORT / 2)
    crowd.run(1.0)
    crowd.pace.note(crowd.now, crowd.now + 1.0, 0)
    assert crowd.pace.is_short


def test_short_runs_that_got_in_each_others_way_go_on_in_one_thread() -> None:
    crowd = Crowd(SHORT / 2)
    crowd.run(0.1)
    for _ in range(LENGTH):  # the machine was busy with something else
        crowd.pace.note(crowd.now, crowd.now + 20 * SHORT, 0)
        crowd.now += 20 * SHORT
    assert not crowd.pace.is_short
    before = crowd.now
    crowd.run(1.0)
    assert crowd.pace.is_short
    assert crowd.alone > 0.95 * (crowd.now - before)


def test_runs_that_wait_for_something_else_keep_their_threads() -> None:
    crowd = Crowd(SHORT / 4, waits=4 * SHORT)
    crowd.run(60.0)
    assert not crowd.pace.is_short
    assert 0 < crowd.alone < 0.01 * 60.0


def test_long_runs_are_not_tried_alone() -> None:
    crowd = Crowd(3 * SHORT)
    crowd.run(10.0)
    assert crowd.alone == 0


def test_what_began_before_the_trial_is_no_part_of_it() -> None:
    pace = RunPace()
    for _ in range(LENGTH):
        pace.note(1.0, 1.0 + 4 * SHORT, 7)
    assert pace.is_short
    for _ in range(LENGTH):
        pace.note(1.0, 1.0 + 40 * SHORT, 7)
    assert pace.is_short


def test_after_a_trial_that_showed_nothing_the_next_ones_come_later_each_time() -> None:
    crowd = Crowd(SHORT / 4, waits=4 * SHORT)
    crowd.run(FIRST_PAUSE)
    first = crowd.alone
    crowd.run(3.0)
    assert 0 < first <= crowd.alone <= 6 * first


def test_once_they_turn_out_short_a_trial_is_not_long_in_coming_again() -> None:
    crowd = Crowd(SHORT / 4, waits=4 * SHORT)
    crowd.run(60.0)
    crowd.waits = 0.0
    crowd.run(20.0)
    assert crowd.pace.is_short
    crowd.waits = 4 * SHORT
    crowd.run(0.1)
    crowd.waits = 0.0
    crowd.run(3 * FIRST_PAUSE)
    assert crowd.pace.is_short
