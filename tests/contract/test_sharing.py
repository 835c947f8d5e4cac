"""What workers share through the broker: pauses, rates, reports."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from taskflow.broker import Broker, WorkerReport
from taskflow.message import Delivery
from taskflow.testing import ManualClock

Put = Callable[..., None]
Get = Callable[..., list[Delivery]]


def test_a_paused_queue_takes_messages_and_hands_none_out(
    broker: Broker, put: Put, get: Get
) -> None:
    broker.pause("work")
    put("1")
    assert get() == []
    counts = broker.counts("work")
    assert (counts.visible, counts.paused) == (1, True)
    broker.pause("work", paused=False)
    assert [found.id for found in get()] == ["1"]


def test_resuming_wakes_a_long_poll(broker: Broker, clock: ManualClock, put: Put, get: Get) -> None:
    broker.pause("work")
    put("1")
    with ThreadPoolExecutor() as pool:
        polling = pool.submit(get, wait=20)
        clock.wait_until_parked()
        broker.pause("work", paused=False)
        assert [found.id for found in polling.result(10)] == ["1"]


def test_a_paused_queue_does_not_hold_up_the_others(
    broker: Broker, clock: ManualClock, put: Put
) -> None:
    broker.pause("work")
    put("1", delay=5)
    broker.create_queue("other")
    broker.subscribe("made", "other")
    put("2")
    assert [found.id for found in broker.receive("work", "other", limit=9)] == ["2"]
    assert broker.next_due("work") is None


def test_a_bucket_fills_at_its_rate_up_to_its_burst(broker: Broker, clock: ManualClock) -> None:
    assert broker.allowance("b", 100) == 10.0
    broker.spend("b", 100, 10)
    assert broker.allowance("b", 100) == 0.0
    clock.advance(0.05)
    assert broker.allowance("b", 100) == pytest.approx(5.0)
    clock.advance(60)
    assert broker.allowance("b", 100) == 10.0


def test_a_bucket_may_be_overdrawn_and_pays_it_back(broker: Broker, clock: ManualClock) -> None:
    broker.spend("b", 1, 3)
    assert broker.allowance("b", 1) == -2.0
    clock.advance(2.5)
    assert broker.allowance("b", 1) == 0.5


def test_a_slow_rate_still_allows_one(broker: Broker) -> None:
    assert broker.allowance("b", 1 / 3600) == 1.0


def report(id: str) -> WorkerReport:
    handlers = {"h": {"runs": 3, "failed": 1, "seconds": 0.5, "most": 0.25}}
    failure = {"at": 1.5, "queue": "work", "error": "ValueError"}
    return WorkerReport(id, "host", 7, ("work", "other"), 1000.0, 2, 8, handlers, [failure])


def test_workers_are_listed_while_they_report(broker: Broker, clock: ManualClock) -> None:
    broker.report(report("w1"))
    clock.advance(20)
    broker.report(report("w2"))
    first, second = broker.workers(within=30)
    assert (first.id, first.seen_at, second.id, second.seen_at) == ("w1", 1000.0, "w2", 1020.0)
    assert (first.queues, first.handlers["h"]["failed"], first.failures[0]["error"]) == (
        ("work", "other"),
        1,
        "ValueError",
    )
    clock.advance(15)
    assert [found.id for found in broker.workers(within=30)] == ["w2"]
    broker.retire("w2")
    assert broker.workers(within=30) == []
