"""Long polls: how many requests they cost, who gets what a left poll brings, and how they end."""

# botocore has no types.
# mypy: allow-untyped-calls

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ConnectionClosedError

from taskflow.brokers.aws.broker import AwsBroker
from taskflow.brokers.aws.polls import HOLD
from taskflow.errors import BrokerUnavailable, QueueNotFound
from taskflow.message import Message
from tests.contract.wire import SharedClock


def ids(found: list[object]) -> list[str]:
    return [one.id for one in found]  # type: ignore[attr-defined]  # deliveries


@pytest.mark.parametrize("queues", [("work",), ("work", "other")])
@pytest.mark.slow
def test_an_idle_queue_costs_three_requests_a_minute(
    broker: AwsBroker,
    clock: SharedClock,
    queue: str,
    requests: Counter[str],
    queues: tuple[str, ...],
) -> None:
    broker.create_queue("other")
    polled = threading.Semaphore(0)

    def work(minutes: int) -> None:
        for _ in range(3 * minutes):  # as a pool does
            assert broker.receive(*queues, limit=8, wait=20) == []
            polled.release()

    with ThreadPoolExecutor() as pool:
        for minutes in (1, 10):
            requests.clear()
            working = pool.submit(work, minutes)
            for _ in range(3 * minutes):
                clock.wait_until_parked()
                clock.advance(20)
                assert polled.acquire(timeout=10)
            working.result(10)
    assert dict(requests) == {"ReceiveMessage": 30 * len(queues)}


def test_a_message_after_an_empty_poll_is_seen_at_the_next_look(
    broker: AwsBroker, clock: SharedClock, queue: str
) -> None:
    with ThreadPoolExecutor() as pool:
        polling = pool.submit(broker.receive, queue, wait=20)
        clock.wait_until_parked()
        clock.advance(20)
        assert polling.result(10) == []
    broker.publish("order.created", [Message("1", "x")])
    assert ids([*broker.receive(queue)]) == ["1"]


def leave_a_poll(broker: AwsBroker, clock: SharedClock, queue: str) -> None:
    """A receive that stops, while AWS still holds its poll."""
    stop = threading.Event()
    with ThreadPoolExecutor() as pool:
        polling = pool.submit(broker.receive, queue, limit=10, wait=20, stop=stop.is_set)
        clock.wait_until_parked()
        stop.set()
        broker.wake()
        assert polling.result(10) == []


def test_the_next_receive_takes_over_a_poll_that_was_left(
    broker: AwsBroker, clock: SharedClock, queue: str, requests: Counter[str]
) -> None:
    leave_a_poll(broker, clock, queue)
    requests.clear()
    with ThreadPoolExecutor() as pool:
        polling = pool.submit(broker.receive, queue, limit=10, wait=20)
        clock.wait_until_parked(1)
        broker.publish("order.created", [Message("1", "x")])
        assert ids([*polling.result(10)]) == ["1"]
    assert requests["ReceiveMessage"] == 0


def test_what_a_left_poll_brings_is_given_back_when_nobody_comes(
    broker: AwsBroker, clock: SharedClock, queue: str
) -> None:
    leave_a_poll(broker, clock, queue)
    broker.publish("order.created", [Message("1", "x")])
    clock.wait_until_parked()  # the poll's own thread, which holds what it brought
    while broker.counts(queue).in_flight == 0:
        pass
    clock.wait_until_parked()
    clock.advance(HOLD)
    while broker.counts(queue).visible == 0:
        pass
    (one,) = broker.receive(queue)
    assert (one.id, one.receive_count) == ("1", 1)


def test_a_receive_takes_no_more_than_it_asked_for(
    broker: AwsBroker, clock: SharedClock, queue: str
) -> None:
    broker.create_queue("other")
    for name in (queue, "other"):
        broker.send(name, [Message(f"{name}{n}", "x") for n in range(9)])
    taken: list[str] = []
    while len(taken) < 18:  # two polls at once: what one of them brings may be less than was asked
        some = broker.receive(queue, "other", limit=5, wait=20)
        assert 1 <= len(some) <= 5
        taken += ids([*some])
    assert len(set(taken)) == len(taken) == 18


def test_a_queue_deleted_under_a_poll_is_an_error_not_an_end(
    broker: AwsBroker, clock: SharedClock, queue: str
) -> None:
    with ThreadPoolExecutor() as pool:
        polling = pool.submit(broker.receive, queue, wait=20)
        clock.wait_until_parked()
        broker.delete_queue(queue)
        clock.advance(5)  # the server looks again
        with pytest.raises(QueueNotFound, match="known: work-dlq"):
            polling.result(10)


def test_closing_ends_a_wait(broker: AwsBroker, clock: SharedClock, queue: str) -> None:
    with ThreadPoolExecutor() as pool:
        polling = pool.submit(broker.receive, queue, wait=20)
        clock.wait_until_parked()
        broker.close()
        assert polling.result(10) == []


def test_a_network_that_fails_reaches_who_waits(
    broker: AwsBroker, clock: SharedClock, queue: str
) -> None:
    def cut(**_: object) -> None:
        raise ConnectionClosedError(endpoint_url="http://localhost:9324")

    broker.api.client("sqs").meta.events.register_first("before-send.sqs.ReceiveMessage", cut)
    for wait in (0.0, 20.0):
        with pytest.raises(BrokerUnavailable, match="Connection was closed"):
            broker.receive(queue, wait=wait)
