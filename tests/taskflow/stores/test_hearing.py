"""Who waits hears other processes itself: several at once, and what else ends a wait."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from taskflow.broker.change import Change, Put
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.errors import BrokerUnavailable
from taskflow.message import Message
from taskflow.stores.sqlite.store import SqliteStore
from taskflow.testing import ManualClock

WAIT = 10.0
QUEUES = ("one", "two", "three")
Poll = Callable[..., "Future[Any]"]


@pytest.fixture
def clock() -> ManualClock:
    """Stands still: nobody who waits looks again by himself."""
    return ManualClock()


@pytest.fixture
def broker(tmp_path: Path, clock: ManualClock) -> Iterator[StoredBroker]:
    store = SqliteStore(tmp_path / "broker.db", durable=False)
    with closing(StoredBroker(store, clock=clock)) as made:
        for name in QUEUES:
            made.create_queue(name)
        yield made


@pytest.fixture
def other(broker: StoredBroker, tmp_path: Path, clock: ManualClock) -> Iterator[StoredBroker]:
    """As another process has it."""
    store = SqliteStore(tmp_path / "broker.db", durable=False)
    with closing(StoredBroker(store, clock=clock)) as made:
        yield made


@pytest.fixture
def poll(broker: StoredBroker) -> Iterator[Poll]:
    """Wait in a thread of its own."""
    with ThreadPoolExecutor(8) as pool:

        def submit(*queues: str, wait: float = 20.0, **how: Any) -> "Future[Any]":
            return pool.submit(broker.receive, *queues, wait=wait, **how)

        yield submit
        broker.close()  # lets go whom a test that failed has left waiting


@pytest.mark.parametrize("order", [QUEUES, QUEUES[::-1]])
@pytest.mark.parametrize("here", [True, False])
def test_each_of_several_hears_its_own_queue(
    broker: StoredBroker,
    other: StoredBroker,
    clock: ManualClock,
    poll: Poll,
    order: tuple[str, ...],
    here: bool,
) -> None:
    polls = {name: poll(name) for name in QUEUES}
    for left, name in zip((3, 2, 1), order, strict=True):
        clock.wait_until_parked(left)
        (broker if here else other).send(name, [Message(name, "x")])
        assert [found.id for found in polls[name].result(WAIT)] == [name]


def test_a_record_is_heard_beside_queues(
    broker: StoredBroker, other: StoredBroker, clock: ManualClock, poll: Poll
) -> None:
    polling = poll("one")
    clock.wait_until_parked(1)
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(broker.wait_record, "run", "r", 0, 20.0)
        clock.wait_until_parked(2)
        other.apply([Change(records=[Put(kind="run", key="r", value="1", rings=True)])])
        found = waiting.result(WAIT)
        assert found is not None
        assert found.value == "1"
        assert not polling.done()
        other.send("one", [Message("1", "x")])
        assert len(polling.result(WAIT)) == 1


def test_another_takes_the_place_of_who_leaves(
    other: StoredBroker, clock: ManualClock, poll: Poll
) -> None:
    short = poll("one", wait=5.0)
    clock.wait_until_parked(1)
    long = poll("two")
    clock.wait_until_parked(2)
    short.add_done_callback(lambda _: clock.nudge())
    while not short.done():  # each second both look again, the one in the store and the other
        clock.advance(1)
        clock.wait_until(lambda parked: parked == 2 or short.done())
    assert short.result(WAIT) == []
    clock.wait_until_parked(1)
    other.send("two", [Message("1", "x")])
    assert len(long.result(WAIT)) == 1


def test_stop_lets_all_go(broker: StoredBroker, clock: ManualClock, poll: Poll) -> None:
    stop = threading.Event()
    polls = [poll(name, stop=stop.is_set) for name in QUEUES]
    clock.wait_until_parked(3)
    stop.set()
    broker.wake()
    assert [one.result(WAIT) for one in polls] == [[], [], []]


def test_a_delay_ends_the_wait(broker: StoredBroker, clock: ManualClock, poll: Poll) -> None:
    broker.send("one", [Message("1", "x", delay=0.5)])
    polling = poll("one")
    clock.wait_until_parked()
    clock.advance(0.5)
    assert [found.id for found in polling.result(WAIT)] == ["1"]


def test_closing_ends_the_wait(broker: StoredBroker, clock: ManualClock, poll: Poll) -> None:
    polls = [poll("one"), poll("two")]
    clock.wait_until_parked(2)
    broker.close()
    for one in polls:
        with pytest.raises(BrokerUnavailable, match="closed"):
            one.result(WAIT)


def test_who_watches_hears_while_nobody_waits_and_while_somebody_does(
    broker: StoredBroker, other: StoredBroker, clock: ManualClock, poll: Poll
) -> None:
    heard: list[str] = []
    changed = threading.Condition()

    def hear(queues: Any) -> None:
        with changed:
            heard.extend(queues)
            changed.notify_all()

    broker.watch(hear)
    other.send("one", [Message("1", "x")])
    with changed:
        assert changed.wait_for(lambda: "one" in heard, WAIT)
    polling = poll("two")
    clock.wait_until_parked()
    other.send("two", [Message("2", "x")])
    assert len(polling.result(WAIT)) == 1
    with changed:
        assert changed.wait_for(lambda: "two" in heard, WAIT)


def test_who_looks_away_is_rung_by_nobody_until_it_attends(
    broker: StoredBroker, other: StoredBroker, tmp_path: Path, clock: ManualClock, poll: Poll
) -> None:
    heard: list[str] = []
    changed = threading.Condition()

    def hear(queues: Any) -> None:
        with changed:
            heard.extend(queues)
            changed.notify_all()

    broker.watch(hear)
    broker.look_away()
    broker.look_away()
    assert list((tmp_path / "broker.db-bells").iterdir()) == []
    other.send("one", [Message("1", "x")])
    broker.send("two", [Message("2", "x")])
    assert heard == ["two"]
    polling = poll("three")  # who receives here hears all the same
    clock.wait_until_parked()
    other.send("three", [Message("3", "x")])
    assert len(polling.result(WAIT)) == 1
    broker.look_away()
    broker.attend()
    other.send("one", [Message("4", "x")])
    with changed:
        assert changed.wait_for(lambda: "one" in heard, WAIT)
