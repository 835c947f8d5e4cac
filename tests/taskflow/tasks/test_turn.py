"""Who of many workers sees to what is due, and how often the broker is asked."""

import pytest

from taskflow.broker import Broker
from taskflow.tasks.turn import HELD, Turn
from taskflow.testing import ManualClock


def test_it_is_ones_until_that_one_does_not_ask_any_more(
    taskflow_broker: Broker, taskflow_clock: ManualClock
) -> None:
    mine, yours = Turn(taskflow_broker, "me"), Turn(taskflow_broker, "you")
    for _ in range(10):
        assert mine.is_mine(taskflow_clock.now())
        assert not yours.is_mine(taskflow_clock.now())
        taskflow_clock.advance(HELD * 0.4)
    taskflow_clock.advance(HELD)
    assert yours.is_mine(taskflow_clock.now())
    assert not mine.is_mine(taskflow_clock.now())


def test_a_batch_after_the_other_asks_once_in_half_the_time(
    taskflow_broker: Broker, taskflow_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    hold = taskflow_broker.hold

    def counting(name: str, holder: str, seconds: float) -> bool:
        asked.append(taskflow_clock.now())
        return hold(name, holder, seconds)

    monkeypatch.setattr(taskflow_broker, "hold", counting)
    turn, start = Turn(taskflow_broker, "me"), taskflow_clock.now()
    for _ in range(8):
        assert turn.is_mine(taskflow_clock.now())
        taskflow_clock.advance(HELD / 4)
    assert asked == [start + HELD / 2 * number for number in range(4)]
