"""The outbox: saved with the order or not at all, published in order, never lost."""

import logging
from collections.abc import Iterator
from queue import Queue
from threading import Event as Signal
from typing import Any

import pytest
from sqlalchemy import Engine

from services.order.outbox import (
    MAX_BACKOFF_SECONDS,
    NobodySubscribes,
    Outbox,
    Relay,
    publisher,
)
from services.order.service import TOPICS
from services.order.tables import metadata
from taskflow import Event, publish_many
from taskflow.broker import QueueSettings
from taskflow.errors import BrokerUnavailable
from taskflow.testing import ManualClock, memory_broker
from tests.services.order.doubles import Store, new_order


class FlakyBroker:
    """Fails as long as it is told to; keeps what it was given, and says when it was asked."""

    def __init__(self) -> None:
        self.down = False
        self.crash_after_publish = False
        self.attempts: Queue[None] = Queue()
        self.got: list[str] = []
        self.published = Signal()

    def publish(self, events: list[Event[Any]]) -> None:
        self.attempts.put(None)
        if self.down:
            raise BrokerUnavailable("no broker")
        self.got += [f"{event.topic} {event.subject} {event.id}" for event in events]
        self.published.set()
        if self.crash_after_publish:
            raise KeyboardInterrupt

    def take_attempt(self) -> None:
        """Wait until it is asked once more."""
        self.attempts.get(timeout=10)


@pytest.fixture
def broker() -> FlakyBroker:
    return FlakyBroker()


@pytest.fixture
def relay(store: Store, broker: FlakyBroker, clock: ManualClock) -> Iterator[Relay]:
    relay = Relay(store.outbox, broker.publish, clock)
    yield relay
    broker.down = False
    relay.stop()


@pytest.fixture
def clock(store: Store) -> ManualClock:
    return store.clock


def test_order_is_not_saved_when_its_event_cannot_be(store: Store, engine: Engine) -> None:
    metadata.tables["outbox"].drop(engine)
    assert store.post(new_order()).status_code == 503
    assert store.repository.page(1, None, None) == []


def test_events_go_out_in_order_and_once(store: Store, relay: Relay, broker: FlakyBroker) -> None:
    for _ in range(2):
        order_id = store.post(new_order()).json["id"]
        store.client.simulate_post(f"/orders/{order_id}/cancel")
    waiting = [f"{e.topic} {e.subject} {e.event_id}" for e in store.outbox.pending()]
    assert relay.publish_pending() == 4
    assert relay.publish_pending() == 0
    assert broker.got == waiting


def test_crash_before_publish_loses_nothing(
    store: Store, relay: Relay, broker: FlakyBroker
) -> None:
    store.post(new_order())
    broker.down = True
    with pytest.raises(BrokerUnavailable):
        relay.publish_pending()
    broker.down = False
    assert relay.publish_pending() == 1


def test_crash_between_publish_and_mark_repeats_the_same_id(
    store: Store, relay: Relay, broker: FlakyBroker
) -> None:
    store.post(new_order())
    broker.crash_after_publish = True
    with pytest.raises(KeyboardInterrupt):
        relay.publish_pending()
    broker.crash_after_publish = False
    relay.publish_pending()
    first, second = broker.got
    assert first == second


def test_repeated_event_waits_in_its_queue_once(store: Store) -> None:
    store.broker.create_queue("audit", QueueSettings())
    store.broker.subscribe("order.created", "audit")
    store.post(new_order())
    events = [
        Event(topic=e.topic, payload=e.payload, id=e.event_id, time=e.time)
        for e in store.outbox.pending()
    ]
    publish_many(events, broker=store.broker)
    store.relay.publish_pending()
    assert store.broker.counts("audit").visible == 1


def test_queue_of_both_topics_sees_them_in_the_order_they_happened(store: Store) -> None:
    store.broker.create_queue("audit", QueueSettings())
    for topic in TOPICS:
        store.broker.subscribe(topic, "audit")
    for _ in range(2):
        order_id = store.post(new_order()).json["id"]
        store.client.simulate_post(f"/orders/{order_id}/cancel")
    store.relay.publish_pending()
    topics = [delivery.topic for delivery in store.broker.receive("audit", limit=10)]
    assert topics == [*TOPICS, *TOPICS]


def test_relay_wakes_when_an_order_is_saved(
    store: Store, relay: Relay, broker: FlakyBroker, clock: ManualClock
) -> None:
    relay.start()
    clock.wait_until_parked()
    store.post(new_order())
    assert broker.got == []
    relay.wake()
    assert broker.published.wait(10)


def test_relay_finds_rows_of_other_processes(
    store: Store, relay: Relay, broker: FlakyBroker, clock: ManualClock
) -> None:
    relay.start()
    clock.wait_until_parked()
    store.post(new_order())
    clock.advance(1.0)
    assert broker.published.wait(10)


def test_outage_is_logged_once_and_waited_out(
    store: Store,
    relay: Relay,
    broker: FlakyBroker,
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker.down = True
    caplog.set_level(logging.INFO)
    store.post(new_order())
    relay.start()
    for _ in range(4):
        broker.take_attempt()
        clock.wait_until_parked()
        clock.advance(MAX_BACKOFF_SECONDS)
    broker.take_attempt()
    broker.down = False
    clock.wait_until_parked()
    clock.advance(MAX_BACKOFF_SECONDS)
    assert broker.published.wait(10)
    relay.stop()
    assert caplog.text.count("events wait in the outbox") == 1
    assert caplog.text.count("published again") == 1


def test_stopping_publishes_what_waits(store: Store, relay: Relay, broker: FlakyBroker) -> None:
    relay.start()
    store.clock.wait_until_parked()
    store.post(new_order())
    relay.stop()
    assert len(broker.got) == 1


def test_counts_what_waits_and_since_when(store: Store, engine: Engine) -> None:
    outbox = Outbox(engine)
    assert outbox.count_pending() == (0, None)
    store.post(new_order())
    assert outbox.count_pending() == (1, store.clock.now())


def test_events_wait_until_a_queue_takes_them(store: Store) -> None:
    clock = store.clock
    broker = memory_broker(clock=clock)
    relay = Relay(store.outbox, publisher(broker), clock)
    store.post(new_order())
    with pytest.raises(NobodySubscribes, match="topology apply"):
        relay.publish_pending()
    for topic in TOPICS:
        broker.create_topic(topic)
    with pytest.raises(NobodySubscribes, match="topology apply"):
        relay.publish_pending()
    assert store.outbox.count_pending()[0] == 1
    broker.create_queue("audit")
    broker.subscribe("order.created", "audit")
    assert relay.publish_pending() == 1
    assert broker.counts("audit").visible == 1
    broker.close()
