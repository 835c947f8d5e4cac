"""Queues that nobody may receive from until they are resumed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from taskflow.broker import Broker
from taskflow.message import Delivery
from taskflow.testing import ManualClock
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *

NEEDS = ("pauses",)


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


__all__ = collected(globals(), NEEDS)
