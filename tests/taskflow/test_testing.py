"""taskflow.testing: the clock, drain, and the pytest plugin, as a user's tests see them."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taskflow import Broker, Event, Registry, Reject, RetryPolicy, open_broker, publish
from taskflow.retry import Dead, Done, Retry
from taskflow.testing import ManualClock, Run, drain, memory_broker

Drain = Callable[..., list[Run]]
FIXED = RetryPolicy(retries=2, backoff=1.0, jitter=False)


class Waiter:
    """A thread that waits on a clock."""

    def __init__(self, clock: ManualClock, timeout: float | None) -> None:
        self.condition = threading.Condition()
        self.answers: list[bool] = []
        self.thread = threading.Thread(target=self._run, args=(clock, timeout), daemon=True)
        self.thread.start()
        clock.wait_until_parked()

    def _run(self, clock: ManualClock, timeout: float | None) -> None:
        with self.condition:
            self.answers.append(clock.wait(self.condition, timeout))

    def answer(self) -> bool:
        self.thread.join(10)
        return self.answers[0]


# ---- the clock --------------------------------------------------------------------------------
def test_it_moves_only_when_told() -> None:
    clock = ManualClock(100.0)
    assert clock.now() == clock.now() == 100.0
    clock.advance(2.5)
    assert clock.now() == 102.5
    clock.set(50.0)
    assert clock.now() == 50.0


def test_advancing_past_a_timeout_ends_the_wait() -> None:
    clock = ManualClock()
    waiter = Waiter(clock, 10.0)
    clock.advance(9)
    assert waiter.answers == []
    clock.advance(1)
    assert waiter.answer() is False


def test_a_notification_ends_the_wait() -> None:
    clock = ManualClock()
    waiter = Waiter(clock, None)
    with waiter.condition:
        waiter.condition.notify()
    assert waiter.answer() is True


def test_a_timeout_of_nothing_does_not_wait() -> None:
    condition = threading.Condition()
    with condition:
        assert ManualClock().wait(condition, 0.0) is False


def test_it_says_how_many_threads_are_parked() -> None:
    clock = ManualClock()
    one, two = Waiter(clock, 1.0), Waiter(clock, 2.0)
    clock.wait_until_parked(2)
    clock.advance(2)
    assert (one.answer(), two.answer()) == (False, False)


def test_a_long_poll_ends_by_the_clock(taskflow_broker: Broker) -> None:
    taskflow_broker.create_queue("work")
    clock = taskflow_broker.clock
    assert isinstance(clock, ManualClock)
    answers: list[list[Any]] = []
    thread = threading.Thread(
        target=lambda: answers.append(list(taskflow_broker.receive("work", wait=20)))
    )
    thread.start()
    clock.wait_until_parked()
    clock.advance(20)
    thread.join(10)
    assert answers == [[]]


# ---- drain ------------------------------------------------------------------------------------
@pytest.fixture
def chain(taskflow_registry: Registry, taskflow_broker: Broker) -> Registry:
    """`made` causes `sold`; `broken` fails as often as its payload says."""

    @taskflow_registry.subscribe("made", queue="sales")
    def sell(event: Event[Any]) -> None:
        publish("sold", event.payload)

    @taskflow_registry.subscribe("sold", queue="audit")
    def audit(event: Event[Any]) -> None: ...

    @taskflow_registry.subscribe("broken", queue="repair", policy=FIXED)
    def repair(event: Event[int]) -> None:
        if event.attempt <= event.payload:
            raise ValueError(f"attempt {event.attempt}")

    drain(taskflow_broker, taskflow_registry)  # declares
    return taskflow_registry


def test_drain_runs_what_is_due_and_what_that_causes(
    chain: Registry, taskflow_drain: Drain
) -> None:
    event_id = publish("made", 1)
    runs = taskflow_drain(chain)
    assert [(run.topic, run.queue, run.attempt) for run in runs] == [
        ("made", "sales", 1),
        ("sold", "audit", 1),
    ]
    assert runs[0].event_id == event_id
    assert runs[0].handler.endswith("sell")
    assert {run.outcome for run in runs} == {Done()}
    assert taskflow_drain(chain) == []


def test_drain_may_be_kept_to_some_queues(chain: Registry, taskflow_drain: Drain) -> None:
    publish("made", 1)
    assert [run.queue for run in taskflow_drain(chain, queues=["sales"])] == ["sales"]
    assert [run.queue for run in taskflow_drain(chain)] == ["audit"]


def test_an_error_of_a_handler_fails_the_test_and_is_settled(
    chain: Registry, taskflow_drain: Drain, taskflow_broker: Broker
) -> None:
    publish("broken", 1)
    with pytest.raises(ValueError, match="attempt 1"):
        taskflow_drain(chain)
    assert taskflow_broker.counts("repair").in_flight == 1


def test_reject_is_an_error_too(taskflow_registry: Registry, taskflow_drain: Drain) -> None:
    @taskflow_registry.subscribe("made", queue="work")
    def handle(event: object) -> None:
        raise Reject("fraud")

    taskflow_drain(taskflow_registry)
    publish("made", 1)
    with pytest.raises(Reject, match="fraud"):
        taskflow_drain(taskflow_registry)


def test_errors_may_be_answered_instead(chain: Registry, taskflow_drain: Drain) -> None:
    publish("broken", 1)
    (run,) = taskflow_drain(chain, raise_errors=False)
    assert isinstance(run.outcome, Retry)


def test_without_advance_time_stands_still(
    chain: Registry, taskflow_drain: Drain, taskflow_clock: ManualClock
) -> None:
    publish("made", 1, broker=None)
    publish("broken", 0)
    start = taskflow_clock.now()
    assert len(taskflow_drain(chain)) == 3
    assert taskflow_clock.now() == start


def test_advance_runs_all_retries_in_no_time(
    chain: Registry, taskflow_drain: Drain, taskflow_clock: ManualClock
) -> None:
    start = taskflow_clock.now()
    publish("broken", 9)
    runs = taskflow_drain(chain, raise_errors=False, advance=True)
    assert [run.at - start for run in runs] == [0, 1, 3]
    assert isinstance(runs[-1].outcome, Dead)


def test_advance_runs_what_is_delayed(
    chain: Registry, taskflow_drain: Drain, taskflow_clock: ManualClock
) -> None:
    publish("made", 1, at=taskflow_clock.now() + 86400)
    assert taskflow_drain(chain) == []
    assert len(taskflow_drain(chain, advance=True)) == 2


def test_advance_needs_a_manual_clock(chain: Registry) -> None:
    broker = open_broker("memory://")
    drain(broker, chain)
    publish("made", 1, delay=60, broker=broker)
    with pytest.raises(TypeError, match="needs a broker on a ManualClock"):
        drain(broker, chain, advance=True)
    broker.close()


def test_a_memory_broker_is_repeatable() -> None:
    ids = []
    for _ in range(2):
        broker = memory_broker(seed=3)
        broker.create_topic("made")
        ids.append(publish("made", 1, broker=broker))
        broker.close()
    assert ids[0] == ids[1]


# ---- the plugin -------------------------------------------------------------------------------
USER_TEST = """
from taskflow import publish, subscribe

seen = []

@subscribe("made", queue="work")
def handle(count: int):
    seen.append(count)

def test_handler_runs(taskflow_broker, taskflow_drain, taskflow_clock):
    taskflow_drain()
    publish("made", 1, delay=3600)
    assert taskflow_drain() == []
    taskflow_clock.advance(3600)
    (run,) = taskflow_drain()
    assert seen == [1] and run.queue == "work"

def test_each_test_has_a_broker_of_its_own(taskflow_broker, taskflow_registry):
    assert taskflow_broker.queues() == [] and len(taskflow_registry) == 0

def test_a_failing_handler_fails(taskflow_drain):
    taskflow_drain()
    publish("made", "x")
    taskflow_drain()
"""


@pytest.mark.slow
def test_the_fixtures_come_with_the_installation(tmp_path: Path) -> None:
    (tmp_path / "test_user.py").write_text(USER_TEST)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "test_user.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "DecodeError: the payload does not fit: Expected `int`, got `str`" in done.stdout
    assert "1 failed, 2 passed" in done.stdout
    assert [path for path in tmp_path.iterdir() if ".db" in path.name] == []
