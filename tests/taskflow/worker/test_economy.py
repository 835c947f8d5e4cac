"""What a pool does where the broker's calls cost: outcomes go in full batches, or after a while."""

import threading
from collections.abc import Iterable
from typing import Any

import pytest

from taskflow import Registry, publish
from taskflow.broker.settings import Economy, Finish
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.testing import ManualClock
from tests.taskflow.worker.pools import WAIT, Watch, running

WITHIN = 5.0


@pytest.fixture
def dear(taskflow_broker: StoredBroker) -> StoredBroker:
    """A broker whose calls cost."""
    taskflow_broker.economy = Economy(batch=10, settle_within=WITHIN)
    return taskflow_broker


@pytest.fixture
def deletes(dear: StoredBroker, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many were acknowledged together, each time."""
    sizes: list[int] = []
    delete = dear.delete

    def noted(entries: Iterable[Finish]) -> list[bool]:
        some = list(entries)
        sizes.append(len(some))
        return delete(some)

    monkeypatch.setattr(dear, "delete", noted)
    return sizes


class Counted:
    """A handler that says when it has run so many times."""

    def __init__(self, wanted: int) -> None:
        self.left = wanted
        self.done = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, payload: Any) -> None:
        with self._lock:
            self.left -= 1
            if not self.left:
                self.done.set()


def test_outcomes_are_settled_in_tens_and_the_rest_after_a_while(
    dear: StoredBroker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    deletes: list[int],
    watch: Watch,
) -> None:
    handler = Counted(23)
    done = watch.done(23)
    taskflow_registry.subscribe("made", queue="work")(handler)
    with running(dear, taskflow_registry, watch):
        for n in range(23):
            publish("made", n, broker=dear)
        assert handler.done.wait(WAIT)
        assert all(size % 10 == 0 for size in list(deletes))  # a ten may be on its way still
        assert sum(deletes) <= 20
        watch.until(done)
    assert sum(deletes) == 23
    *tens, rest = deletes
    assert all(size % 10 == 0 for size in tens)
    assert rest % 10 == 3


def test_a_stop_settles_what_waits(
    dear: StoredBroker,
    taskflow_registry: Registry,
    deletes: list[int],
    watch: Watch,
) -> None:
    handler = Counted(3)
    done = watch.done(3)
    taskflow_registry.subscribe("made", queue="work")(handler)
    with running(dear, taskflow_registry, watch) as pool:
        for n in range(3):
            publish("made", n, broker=dear)
        assert handler.done.wait(WAIT)
        pool.stop()
        assert done.wait(WAIT)
    assert sum(deletes) == 3
    assert dear.counts("work").in_flight == 0


def test_a_group_waits_for_no_company(
    dear: StoredBroker,
    taskflow_registry: Registry,
    taskflow_clock: ManualClock,
    watch: Watch,
) -> None:
    handler = Counted(4)
    done = watch.done(4)
    taskflow_registry.subscribe("made.fifo", queue="work.fifo")(handler)
    with running(dear, taskflow_registry, watch):
        for n in range(4):
            publish("made.fifo", n, group="one", id=str(n), broker=dear)
        watch.until(done, step=0.001)
    assert handler.left == 0
