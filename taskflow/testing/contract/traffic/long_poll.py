"""Waiting: woken by a send, by time, and by `stop`; never by polling."""

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

from taskflow.broker import Broker
from taskflow.message import Delivery, Message
from taskflow.testing import ManualClock
from taskflow.testing.contract.collection import collected
from taskflow.testing.contract.fixtures import *

Put = Callable[..., None]
Get = Callable[..., list[Delivery]]


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.id for delivery in deliveries]


def test_a_long_poll_answers_when_something_is_sent(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    with ThreadPoolExecutor() as pool:
        polling = pool.submit(get, wait=20)
        clock.wait_until_parked()
        put("1")
        assert ids(polling.result(10)) == ["1"]
    assert clock.now() == 1000.0


def test_a_long_poll_does_not_wait_to_fill_its_limit(put: Put, get: Get) -> None:
    put("1")
    assert ids(get(limit=10, wait=20)) == ["1"]


def test_an_empty_long_poll_ends_at_its_deadline(
    broker: Broker, clock: ManualClock, queue: str, get: Get
) -> None:
    with ThreadPoolExecutor() as pool:
        polling = pool.submit(get, wait=20)
        clock.wait_until_parked()
        clock.advance(19.9)
        clock.wait_until_parked()
        assert not polling.done()
        clock.advance(0.1)
        assert polling.result(10) == []


def test_a_long_poll_answers_when_a_lease_ends(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("1")
    get(visibility=5)
    with ThreadPoolExecutor() as pool:
        polling = pool.submit(get, wait=20)
        for _ in range(5):
            clock.wait_until_parked()
            assert not polling.done()
            clock.advance(1)
        assert ids(polling.result(10)) == ["1"]
    assert clock.now() == 1005.0


def test_a_long_poll_answers_when_a_delay_ends_or_is_cut_short(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    put("1")
    (held,) = get(visibility=3600)
    with ThreadPoolExecutor() as pool:
        polling = pool.submit(get, wait=20)
        clock.wait_until_parked()
        broker.change_visibility([(held, 0)])
        assert ids(polling.result(10)) == ["1"]


def test_waiting_on_several_queues_hears_each(
    broker: Broker, clock: ManualClock, queue: str
) -> None:
    broker.create_queue("other")
    with ThreadPoolExecutor() as pool:
        polling = pool.submit(broker.receive, "work", "other", wait=20)
        clock.wait_until_parked()
        broker.send("other", [Message("1", "x")])
        assert ids(polling.result(10)) == ["1"]


def test_one_message_goes_to_one_of_many_waiters(
    broker: Broker, clock: ManualClock, put: Put, get: Get
) -> None:
    stop = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        polls = [pool.submit(broker.receive, "work", wait=20, stop=stop.is_set) for _ in range(4)]
        clock.wait_until_parked(4)
        put("1")
        wait(polls, 10, FIRST_COMPLETED)
        stop.set()
        broker.wake()
        answers = [poll.result(10) for poll in polls]
    assert sorted(len(answer) for answer in answers) == [0, 0, 0, 1]


def test_stop_ends_a_long_poll_at_once(broker: Broker, clock: ManualClock, queue: str) -> None:
    stop = threading.Event()
    with ThreadPoolExecutor() as pool:
        polling = pool.submit(broker.receive, "work", wait=20, stop=stop.is_set)
        clock.wait_until_parked()
        stop.set()
        broker.wake()
        assert polling.result(10) == []
    assert clock.now() == 1000.0


__all__ = collected(globals())
