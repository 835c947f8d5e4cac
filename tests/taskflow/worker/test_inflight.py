"""The inflight, without threads: groups, flow and leases of what it holds."""

from collections.abc import Callable

import pytest

from taskflow import Broker, Registry, Worker, publish
from taskflow.testing import ManualClock
from taskflow.worker.execute import Job
from taskflow.worker.flow_control import SYNC, FlowControl
from taskflow.worker.inflight import Inflight

TOPIC, QUEUE, SLOTS = "made.fifo", "work.fifo", 4


@pytest.fixture
def worker(taskflow_broker: Broker, taskflow_registry: Registry) -> Worker:
    taskflow_registry.subscribe(TOPIC, queue=QUEUE, retries=9)(lambda payload: None)
    return Worker(taskflow_broker, registry=taskflow_registry)


@pytest.fixture
def inflight(worker: Worker) -> Inflight:
    return Inflight(worker, FlowControl(worker.broker, worker.registry, {SYNC: SLOTS}))


@pytest.fixture
def add(worker: Worker, inflight: Inflight) -> Callable[..., None]:
    """Publish, receive, and put on the inflight; the letter in front is the group."""

    def add(*names: str) -> None:
        for name in names:
            publish(TOPIC, name, id=name, group=name[0])
        inflight.add(worker.take(len(names)))

    return add


def ids(jobs: list[Job]) -> list[str]:
    return [job.delivery.id for job in jobs]


def test_what_waits_takes_no_slot(inflight: Inflight, add: Callable[..., None]) -> None:
    add("a1", "a2", "a3", "b1")
    assert ids(list(inflight.jobs)) == ["a1", "b1"]
    assert inflight.flow.room(QUEUE) == SLOTS - 2
    assert len(inflight.leases) == 4


def test_a_lapsed_job_takes_those_behind_it_along(
    inflight: Inflight,
    add: Callable[..., None],
    taskflow_broker: Broker,
    taskflow_clock: ManualClock,
) -> None:
    add("a1", "a2", "a3")
    taskflow_clock.advance(30)
    assert inflight.pop() is None
    assert inflight.unsettled()
    inflight.flush()
    assert not inflight.unsettled()
    assert len(inflight.leases) == 0
    assert inflight.flow.room(QUEUE) == SLOTS
    assert [found.receive_count for found in taskflow_broker.peek(QUEUE)] == [1, 0, 0]


def test_jobs_that_no_thread_took_leave_with_those_behind_them(
    inflight: Inflight, add: Callable[..., None]
) -> None:
    add("a1", "a2", "b1")
    running = inflight.pop()
    assert running is not None
    assert running.delivery.id == "a1"
    assert ids(inflight.take_ready()) == ["b1"], "a2 waits for a1, which has a thread"
    assert inflight.flow.room(QUEUE) == SLOTS - 1
    assert ids(inflight.take_unstarted()) == ["a2"]
    add("c1", "c2")
    assert ids(inflight.take_ready()) == ["c1", "c2"]
    assert inflight.flow.room(QUEUE) == SLOTS - 1
