"""Two hosts on AWS with one place for what they share: pauses, rates, leases, reports."""

import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from taskflow.broker.settings import WorkerReport
from taskflow.brokers.aws.broker import AwsBroker
from taskflow.brokers.aws.pauses import AWAY, SEEN
from taskflow.coordination.sql_database import open_sql_database
from taskflow.coordination.sql_store import SqlStore
from taskflow.errors import BrokerUnavailable, QueueNotFound
from taskflow.message import Message
from tests.contract.wire import ADDRESS, SharedClock, aws_broker

WAIT = 20.0


@pytest.fixture
def broker(clock: SharedClock, tmp_path: Path) -> Iterator[AwsBroker]:
    """One host."""
    with aws_broker(clock, f"{ADDRESS}&idempotency=sqlite:///{tmp_path}/shared.db") as opened:
        yield opened


@pytest.fixture
def other(broker: AwsBroker, clock: SharedClock, tmp_path: Path) -> Iterator[AwsBroker]:
    """Another host, with the same address."""
    store = SqlStore(open_sql_database(f"sqlite:///{tmp_path}/shared.db"))
    other = AwsBroker(broker.api, store=store, clock=clock)
    yield other
    other.close()


def test_a_pause_takes_hold_on_other_hosts_within_seconds(
    broker: AwsBroker, other: AwsBroker, queue: str, clock: SharedClock
) -> None:
    broker.publish("order.created", [Message("a", "x")])
    assert other.counts(queue).paused is False
    broker.pause(queue)
    assert broker.receive(queue) == [], "at once where it was paused"
    clock.advance(SEEN)
    assert other.receive(queue) == []
    assert other.counts(queue).paused
    assert other.next_due(queue) is None
    other.pause(queue, False)
    assert [one.id for one in other.receive(queue)] == ["a"]
    assert other.give_back(other.receive(queue, limit=10)) == []
    clock.advance(SEEN)
    assert broker.counts(queue).paused is False


def test_the_store_is_asked_once_in_so_many_seconds(
    broker: AwsBroker, queue: str, clock: SharedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    paused = broker._store.paused

    def note() -> frozenset[str]:
        asked.append(clock.now())
        return paused()

    monkeypatch.setattr(broker._store, "paused", note)
    for _ in range(20):
        broker.receive(queue)
        clock.advance(1)
    assert len(asked) == 20 / SEEN


def test_what_a_poll_brings_of_a_queue_that_was_paused_meanwhile_goes_back(
    broker: AwsBroker, other: AwsBroker, queue: str, clock: SharedClock
) -> None:
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(other.receive, queue, wait=WAIT)
        clock.wait_until_parked()
        broker.pause(queue)
        clock.advance(SEEN)
        broker.publish("order.created", [Message("a", "x")])
        clock.wait_until_parked(2)  # the receiver, and the poll with what it has brought
        clock.advance(WAIT)
        assert waiting.result(20) == []
    broker.pause(queue, False)
    clock.advance(40)
    assert [one.id for one in broker.receive(queue)] == ["a"]


def test_who_waits_sees_within_seconds_that_the_queue_was_resumed(
    broker: AwsBroker, other: AwsBroker, queue: str, clock: SharedClock
) -> None:
    broker.pause(queue)
    broker.publish("order.created", [Message("a", "x")])
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(other.receive, queue, wait=WAIT)
        clock.wait_until_parked()
        broker.pause(queue, False)
        clock.advance(SEEN)
        assert [one.id for one in waiting.result(20)] == ["a"]
    assert clock.now() < 1000 + WAIT


def test_while_the_store_is_away_what_was_paused_stays_so(
    broker: AwsBroker,
    queue: str,
    clock: SharedClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def away() -> frozenset[str]:
        asked.append(clock.now())
        raise BrokerUnavailable("the table is away")

    asked: list[float] = []
    broker.publish("order.created", [Message("a", "x")])
    broker.pause(queue)
    monkeypatch.setattr(broker._store, "paused", away)
    for _ in range(int(2 * AWAY / SEEN)):
        clock.advance(SEEN)
        assert broker.receive(queue) == []
    assert "which queues are paused is not known anew: the table is away" in caplog.text
    assert len(asked) == 2, "each try may take long"


def test_while_one_thread_asks_the_others_go_on(
    broker: AwsBroker, queue: str, clock: SharedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> frozenset[str]:
        begun.set()
        assert go_on.wait(20)
        return frozenset()

    broker.publish("order.created", [Message("a", "x")])
    broker.pause("work-dlq")
    monkeypatch.setattr(broker._store, "paused", slow)
    clock.advance(SEEN)
    with ThreadPoolExecutor(1) as threads:
        asking = threads.submit(broker.receive, "work-dlq")
        assert begun.wait(20)
        assert [one.id for one in broker.receive(queue)] == ["a"]
        go_on.set()
        assert asking.result(20) == []


def test_only_a_queue_that_is_there_is_paused(broker: AwsBroker, other: AwsBroker) -> None:
    with pytest.raises(QueueNotFound):
        broker.pause("nowhere")


def test_a_rate_is_spent_by_all_hosts(broker: AwsBroker, other: AwsBroker) -> None:
    broker.take("handler", 10.0, 3)
    assert other.take("handler", 10.0) == -2.0
    assert other.take("handler", 10.0, 1) == -3.0
    assert broker.take("handler", 10.0) == -3.0


def test_one_host_holds_a_lease_until_it_lapses(
    broker: AwsBroker, other: AwsBroker, clock: SharedClock
) -> None:
    assert broker.hold("ticks", "one", 10)
    assert not other.hold("ticks", "other", 10)
    clock.advance(10)
    assert other.hold("ticks", "other", 10)


def test_workers_of_all_hosts_are_listed(
    broker: AwsBroker, other: AwsBroker, clock: SharedClock
) -> None:
    for number, each in enumerate((broker, other)):
        each.report(WorkerReport(f"w{number}", "host", number, ("work",), 1000.0, 0, 8, {}, ()))
    assert [one.id for one in other.workers()] == ["w0", "w1"]
    other.retire("w0")
    clock.advance(31)
    assert broker.workers() == []
    assert [one.id for one in broker.workers(within=60)] == ["w1"]


def test_the_identity_is_shared(broker: AwsBroker, other: AwsBroker) -> None:
    broker.set_identity({"account": "1"})
    assert other.identity() == {"account": "1"}


def test_without_a_place_each_process_is_alone(clock: SharedClock) -> None:
    with aws_broker(clock) as one:
        other = AwsBroker(one.api, clock=clock)
        one.create_queue("work")
        one.pause("work")
        one.take("handler", 1.0, 5)
        assert other.counts("work").paused is False
        assert other.take("handler", 1.0) == 1.0


def test_a_database_that_nobody_has_any_more_is_gone() -> None:
    """What is made anew in forks does not keep it."""
    database = open_sql_database("sqlite://")
    seen = weakref.ref(database)
    del database
    assert seen() is None
