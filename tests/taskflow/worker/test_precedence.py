"""Who sees to what is due leaves messages to other processes meanwhile."""

import os
import socket
import threading
from collections.abc import Collection
from dataclasses import replace

import pytest

from taskflow import Registry, publish
from taskflow.broker import Broker, WorkerReport
from taskflow.broker.settings import Economy
from taskflow.errors import BrokerUnavailable
from taskflow.testing import ManualClock
from taskflow.worker.precedence import LONGEST, MUCH, Precedence
from tests.taskflow.worker.pools import UPKEEP_AND_RUN, WAIT, Watch, running

OTHER = WorkerReport("other", "elsewhere", 7, ("mail", "work"), 0.0, 0, 8, {}, [])


@pytest.fixture
def resumed() -> list[str]:
    return []


@pytest.fixture
def precedence(taskflow_broker: Broker, resumed: list[str]) -> Precedence:
    return Precedence(taskflow_broker, ["work"], lambda: resumed.append("resumed"))


def test_a_long_turn_has_precedence_for_a_while(
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    precedence: Precedence,
    resumed: list[str],
) -> None:
    taskflow_broker.report(OTHER)
    assert precedence.seconds() == 0.0
    precedence.begin()
    assert precedence.seconds() == 0.0
    taskflow_clock.advance(MUCH)
    assert precedence.seconds() == pytest.approx(LONGEST - MUCH)
    taskflow_clock.advance(1.0)
    assert precedence.seconds() == pytest.approx(LONGEST - MUCH - 1.0)
    taskflow_clock.advance(LONGEST)
    assert precedence.seconds() == 0.0
    precedence.end()
    assert resumed == ["resumed"]


def test_a_short_turn_resumes_nothing(
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    precedence: Precedence,
    resumed: list[str],
) -> None:
    taskflow_broker.report(OTHER)
    for _ in range(3):
        precedence.begin()
        taskflow_clock.advance(MUCH / 2)
        assert precedence.seconds() == 0.0
        precedence.end()
        taskflow_clock.advance(1.0)
        assert precedence.seconds() == 0.0
    assert resumed == []


@pytest.mark.parametrize(
    "report",
    [
        None,
        replace(OTHER, host=socket.gethostname(), pid=os.getpid()),
        replace(OTHER, queues=("mail",)),
        replace(OTHER, busy=8),
        replace(OTHER, does="paused"),
        replace(OTHER, does="draining"),
    ],
    ids=["nobody", "same process", "another queue", "no room", "paused", "draining"],
)
def test_without_another_process_that_receives_there_is_none(
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    precedence: Precedence,
    resumed: list[str],
    report: WorkerReport | None,
) -> None:
    if report is not None:
        taskflow_broker.report(report)
    precedence.begin()
    taskflow_clock.advance(1.0)
    assert precedence.seconds() == 0.0
    precedence.end()
    assert resumed == []


def test_one_that_has_not_reported_lately_does_not_count(
    taskflow_broker: Broker, taskflow_clock: ManualClock, precedence: Precedence
) -> None:
    taskflow_broker.report(OTHER)
    taskflow_clock.advance(31)
    precedence.begin()
    taskflow_clock.advance(1.0)
    assert precedence.seconds() == 0.0


def test_others_are_asked_for_once_a_turn(
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    precedence: Precedence,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taskflow_broker.report(OTHER)
    asked: list[int] = []
    workers = taskflow_broker.workers

    def counting() -> list[WorkerReport]:
        asked.append(1)
        return workers()

    monkeypatch.setattr(taskflow_broker, "workers", counting)
    for turn in (1, 2):
        precedence.begin()
        taskflow_clock.advance(0.5)
        assert precedence.seconds()
        assert precedence.seconds()
        precedence.end()
        assert len(asked) == turn


def test_a_broker_that_does_not_say_and_one_whose_calls_cost_give_none(
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
    precedence: Precedence,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails() -> list[WorkerReport]:
        raise BrokerUnavailable("gone")

    taskflow_broker.report(OTHER)
    precedence.begin()
    taskflow_clock.advance(0.5)
    with monkeypatch.context() as patch:
        patch.setattr(taskflow_broker, "economy", Economy(batch=10))
        assert precedence.seconds() == 0.0
    monkeypatch.setattr(taskflow_broker, "workers", fails)
    assert precedence.seconds() == 0.0


class Busy:
    """A tender whose turns last until they are let go."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def declare(self, broker: Broker, queues: Collection[str] | None = None) -> None: ...

    def tend(self, broker: Broker, worker: str) -> float | None:
        self.begun.set()
        assert self.go_on.wait(WAIT)
        return None


@pytest.mark.parametrize("alone", [True, False])
def test_a_pool_receives_nothing_while_it_fires_and_goes_on_after_that(
    taskflow_broker: Broker, taskflow_registry: Registry, watch: Watch, alone: bool
) -> None:
    seen: list[int] = []
    started, go_on = threading.Event(), threading.Event()

    @taskflow_registry.subscribe("made", queue="work")
    def note(payload: int) -> None:
        started.set()
        assert go_on.wait(WAIT)
        seen.append(payload)

    busy = taskflow_registry.tender("busy", Busy)
    if not alone:
        taskflow_broker.report(OTHER)
    with running(taskflow_broker, taskflow_registry, watch, concurrency=1):
        watch.ticks = False  # its thread is inside the tender
        first, last = watch.done(1), watch.done(3)
        publish("made", 1)
        assert busy.begun.wait(WAIT)
        assert started.wait(WAIT)
        publish("made", 2)  # behind the one that was received, and is being run
        publish("made", 3)
        watch.clock.advance(MUCH)
        go_on.set()
        if not alone:
            watch.until(first, step=0.0)
            assert watch.clock.wait_until(lambda parked: parked >= 1 + UPKEEP_AND_RUN, WAIT)
            assert seen == [1]
            busy.go_on.set()
        watch.until(last, step=0.0)
        busy.go_on.set()
    assert seen == [1, 2, 3]
