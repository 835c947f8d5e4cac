"""Observers: what each is told, in which order, and that none of them harms a worker."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from taskflow import Broker, Pool, Registry, Retry, Worker, publish
from taskflow.errors import BrokerUnavailable
from taskflow.testing import ManualClock
from taskflow.testing.faults import FaultBroker
from taskflow.worker.job import Job, State
from taskflow.worker.observer import Observer
from tests.taskflow.making import FIXED
from tests.taskflow.worker.hands import Hands
from tests.taskflow.worker.pools import WAIT

CALLS = [name for name in vars(Observer) if not name.startswith("_")]


class Diary(Observer):
    """Writes down every call, and the state that its job was in."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.states: dict[str, State] = {}

    def __getattribute__(self, name: str) -> Any:
        if name not in CALLS:
            return super().__getattribute__(name)

        def note(*given: Any) -> None:
            self.calls.append(name)
            if given:
                self.states[name] = given[0].state

        return note


for name in CALLS:  # so that it is seen to want them
    setattr(Diary, name, lambda self: None)


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
def hands(
    taskflow_broker: Broker, taskflow_registry: Registry, diary: Diary
) -> Callable[..., Hands]:
    """A worker whose observer is the diary, on a broker that can fail."""

    def hands(handler: Callable[..., Any]) -> Hands:
        taskflow_registry.subscribe("made", queue="work", policy=FIXED)(handler)
        broker: Any = FaultBroker(taskflow_broker)
        worker = Worker(broker, registry=taskflow_registry, observers=[diary])
        publish("made", 1, id="e1")
        return Hands(worker)

    return hands


def fail(payload: Any) -> None:
    raise ValueError("no")


def test_a_run_that_goes_well(hands: Callable[..., Hands], diary: Diary) -> None:
    one = hands(lambda payload: None)
    one.take()
    one.run()
    one.settler.flush()
    assert diary.calls == ["received", "started", "ended", "settled"]
    assert diary.states["ended"] is State.ENDED


def test_a_lease_that_is_extended_and_then_lost(
    hands: Callable[..., Hands], diary: Diary, taskflow_clock: ManualClock, taskflow_broker: Broker
) -> None:
    one = hands(fail)
    one.take()
    one.inflight.start()
    taskflow_clock.advance(16)
    one.settler.extend()
    taskflow_broker.purge("work")
    taskflow_clock.advance(16)
    one.settler.extend()
    one.settler.extend()
    assert diary.calls == ["received", "started", "extended", "lost"]
    assert diary.states["lost"] is State.RUNNING


def test_what_the_broker_cannot_be_told_is_postponed_then_settled(
    hands: Callable[..., Hands], diary: Diary
) -> None:
    one = hands(lambda payload: None)
    broker: Any = one.worker.broker
    broker.fail("delete", 1, "before", BrokerUnavailable("away"))
    one.take()
    one.run()
    one.settler.flush()
    one.inflight.check()
    one.settler.flush()
    assert diary.calls == ["received", "started", "ended", "postponed", "settled"]


def test_what_the_broker_refuses(hands: Callable[..., Hands], diary: Diary) -> None:
    one = hands(lambda payload: None)
    broker: Any = one.worker.broker
    broker.fail("delete", 1, "before", RuntimeError("odd"))
    one.take()
    one.run()
    one.settler.flush()
    assert diary.calls == ["received", "started", "ended", "refused"]
    assert len(one.inflight) == 0


def test_what_is_given_back_and_what_runs_elsewhere(
    hands: Callable[..., Hands], diary: Diary, taskflow_clock: ManualClock
) -> None:
    one = hands(lambda payload: None)
    one.take()
    other = Hands(one.worker)
    publish("made", 1, id="e1", delay=0)
    one.settler.give_back(one.inflight.return_unstarted(), "no thread is free for them")
    assert diary.calls == ["received", "given_back"]
    other.take()
    assert diary.calls[2:] == ["received"]


def test_a_pool_says_when_it_begins_and_ends(
    taskflow_broker: Broker, taskflow_registry: Registry, diary: Diary
) -> None:
    taskflow_registry.subscribe("made", queue="work")(lambda payload: None)
    worker = Worker(taskflow_broker, registry=taskflow_registry, observers=[diary])
    publish("made", 1)
    Pool(worker, burst=True).run()
    assert diary.calls[0] == "worker_started"
    assert diary.calls[-2:] == ["worker_stopping", "worker_stopped"]
    assert [name for name in diary.calls if not name.startswith("worker")] == [
        "received",
        "started",
        "ended",
        "settled",
    ]


class Broken(Observer):
    """Fails whatever it is told."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def received(self, job: Job) -> None:
        raise self.error

    def ended(self, job: Job, seconds: float) -> None:
        raise self.error

    def settled(self, job: Job) -> None:
        raise self.error

    def worker_stopped(self) -> None:
        raise self.error


@pytest.mark.parametrize("error", [ValueError("observed"), SystemExit(3)])
def test_an_observer_that_fails_harms_nothing_and_is_told_once(
    taskflow_broker: Broker,
    taskflow_registry: Registry,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
) -> None:
    seen = []
    taskflow_registry.subscribe("made", queue="work")(lambda payload: seen.append(payload))
    worker = Worker(taskflow_broker, registry=taskflow_registry, observers=[Broken(error)])
    for number in range(3):
        publish("made", number)
    Pool(worker, burst=True).run()
    assert sorted(seen) == [0, 1, 2]
    assert taskflow_broker.counts("work").handled == 3
    assert caplog.text.count("an observer failed") == 1


def test_a_worker_without_threads_tells_its_observers(
    taskflow_broker: Broker, taskflow_registry: Registry, diary: Diary
) -> None:
    attempts = []

    @taskflow_registry.subscribe("made", queue="work", policy=FIXED)
    def again(payload: Any) -> None:
        attempts.append(payload)
        raise Retry(after=0)

    worker = Worker(taskflow_broker, registry=taskflow_registry, observers=[diary])
    publish("made", 1)
    worker.drain()
    assert diary.calls == ["received", "started", "ended", "settled"] * len(attempts)


def test_calls_come_one_at_a_time(taskflow_broker: Broker, taskflow_registry: Registry) -> None:
    inside, most = [0], [0]

    class Alone(Observer):
        def ended(self, job: Job, seconds: float) -> None:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            inside[0] -= 1

    together = threading.Barrier(4)
    taskflow_registry.subscribe("made", queue="work")(lambda payload: together.wait(WAIT))
    worker = Worker(taskflow_broker, registry=taskflow_registry, observers=[Alone()])
    for number in range(4):
        publish("made", number)
    Pool(worker, concurrency=4, burst=True).run()
    assert most == [1]
