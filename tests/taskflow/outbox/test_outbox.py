"""The outbox: saved with the data or not at all, published in order, never lost, never stuck."""

import logging
from typing import Any

import pytest

from taskflow import outbox
from taskflow.errors import BrokerUnavailable, InvalidName, LimitExceeded
from taskflow.limits import MAX_MESSAGE_BYTES
from taskflow.outbox import Relay
from taskflow.outbox.relay import MAX_BACKOFF_SECONDS
from taskflow.testing import ManualClock
from tests.taskflow.outbox.conftest import Begin, FlakyBroker


@pytest.fixture
def save(database: tuple[Any, Begin], clock: ManualClock) -> Any:
    def save(topic: str = "made", payload: Any = 1, **options: Any) -> str:
        with database[1]() as session:
            return outbox.publish(session, topic, payload, clock=clock, **options)

    return save


@pytest.fixture
def relay(database: tuple[Any, Begin], broker: FlakyBroker) -> Any:
    relay = Relay(database[0], broker)  # type: ignore[arg-type]
    yield relay
    broker.down = None
    relay.stop()


def test_what_is_rolled_back_is_not_saved(
    database: tuple[Any, Begin], relay: Relay, broker: FlakyBroker
) -> None:
    def change() -> None:
        with database[1]() as session:
            outbox.publish(session, "made", 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change()
    assert relay.publish_pending() == 0
    assert relay.outbox.counts() == (0, None, 0)


def test_rows_go_out_in_order_and_once(save: Any, relay: Relay, broker: FlakyBroker) -> None:
    ids = [save(topic) for topic in ("made", "sold", "made", "made")]
    assert relay.publish_pending() == 4
    assert relay.publish_pending() == 0
    assert [line.split()[1] for line in broker.got] == ids


def test_an_event_arrives_as_it_was_saved(
    save: Any, database: tuple[Any, Begin], real_broker: Any, clock: ManualClock
) -> None:
    real_broker.create_topic("made")
    real_broker.create_queue("work")
    real_broker.subscribe("made", "work")
    id = save(
        payload={"text": "x\uffff"},
        id="e1",
        subject="s",
        source="shop",
        correlation_id="c",
        attributes={"kind": "big"},
        delay=30,
    )
    clock.advance(10)
    Relay(database[0], real_broker).publish_pending()
    assert real_broker.receive("work") == []
    clock.advance(20)
    (one,) = real_broker.receive("work")
    assert (one.id, one.topic, one.attributes) == (id, "made", {"kind": "big"})
    for part in ('"source":"shop"', '"subject":"s"', '"correlationid":"c"', r'"text":"x\uffff"'):
        assert part in one.body


def test_a_crash_before_publishing_loses_nothing(
    save: Any, relay: Relay, broker: FlakyBroker
) -> None:
    save()
    broker.fail()
    with pytest.raises(BrokerUnavailable):
        relay.publish_pending()
    broker.down = None
    assert relay.publish_pending() == 1


def test_a_crash_between_publish_and_mark_repeats_the_same_id(
    save: Any, relay: Relay, broker: FlakyBroker
) -> None:
    save()
    broker.crash_after_publish = True
    with pytest.raises(KeyboardInterrupt):
        relay.publish_pending()
    broker.crash_after_publish = False
    relay.publish_pending()
    first, second = broker.got
    assert first == second


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"topic": "not a topic"}, InvalidName),
        ({"payload": {1, object()}}, TypeError),
        ({"payload": float("nan")}, ValueError),
        ({"id": "a\nb"}, ValueError),
        ({"id": 7}, TypeError),
        ({"topic": "made.fifo"}, ValueError),
        ({"attributes": {str(n): "x" for n in range(11)}}, LimitExceeded),
    ],
)
def test_what_no_broker_would_take_is_refused_at_the_door(
    save: Any, relay: Relay, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        save(**options)
    assert relay.outbox.pending() == []


def test_a_row_that_is_refused_for_good_holds_nobody_back(
    save: Any, database: tuple[Any, Begin], real_broker: Any, caplog: pytest.LogCaptureFixture
) -> None:
    real_broker.create_topic("made")
    real_broker.create_queue("work")
    real_broker.subscribe("made", "work")
    save(id="before")
    save(id="poison", payload="x" * (MAX_MESSAGE_BYTES + 1))  # too large for this broker
    save(id="after")
    relay = Relay(database[0], real_broker)
    assert relay.publish_pending() == 3
    assert [one.id for one in real_broker.receive("work", limit=9)] == ["before", "after"]
    (refused,) = relay.outbox.refused()
    assert (refused.id, refused.topic) == ("poison", "made")
    assert "1048576 are allowed" in refused.reason
    assert relay.outbox.counts()[2] == 1
    assert "event=poison topic=made is refused for good and set aside" in caplog.text
    assert relay.publish_pending() == 0


def test_what_was_set_aside_can_be_tried_again(
    save: Any, relay: Relay, broker: FlakyBroker
) -> None:
    save(id="e1")
    broker.down = LimitExceeded("too large today")
    relay.publish_pending()
    (refused,) = relay.outbox.refused()
    broker.down = None
    assert relay.outbox.try_again([refused.seq, 999]) == 1
    assert relay.publish_pending() == 1
    assert relay.outbox.refused() == []


def test_rows_of_a_topic_without_queues_wait_and_hold_back_their_subject_alone(
    save: Any, relay: Relay, broker: FlakyBroker, caplog: pytest.LogCaptureFixture
) -> None:
    broker.unheard = {"made"}
    for topic, subject in (("made", "a"), ("sold", "a"), ("sold", "b"), ("made", "b")):
        save(topic, id=f"{topic}-{subject}", subject=subject)
    assert relay.publish_pending() == 1
    assert broker.got == ["sold sold-b"]
    relay.publish_pending()
    assert caplog.text.count("no queue subscribes to 'made' yet") == 1
    broker.unheard = set()
    assert relay.publish_pending() == 3
    assert broker.got[1:] == ["made made-a", "sold sold-a", "made made-b"]


@pytest.mark.slow
def test_many_rows_that_wait_hide_nobody_behind_them(
    save: Any, relay: Relay, broker: FlakyBroker
) -> None:
    broker.unheard = {"made"}
    for number in range(250):
        save("made", id=f"m{number}")
    save("sold", id="s")
    assert relay.publish_pending() == 1
    assert broker.got == ["sold s"]


def test_the_relay_wakes_when_it_is_told(
    save: Any, relay: Relay, broker: FlakyBroker, clock: ManualClock
) -> None:
    relay.start()
    clock.wait_until_parked()
    save()
    relay.wake()
    assert broker.published.wait(10)


def test_the_relay_finds_rows_of_other_processes(
    save: Any, relay: Relay, broker: FlakyBroker, clock: ManualClock
) -> None:
    relay.start()
    clock.wait_until_parked()
    save()
    clock.advance(1.0)
    assert broker.published.wait(10)


@pytest.mark.parametrize("error", [BrokerUnavailable("no broker"), MemoryError("odd")])
def test_an_outage_is_logged_once_and_waited_out(
    save: Any,
    relay: Relay,
    broker: FlakyBroker,
    clock: ManualClock,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    caplog.set_level(logging.INFO)
    if isinstance(error, MemoryError):  # what is no refusal of the broker: the database's, say
        real = relay.outbox.pending
        failing: list[Exception] = [error] * 5

        def pending(*arguments: Any) -> Any:
            broker.attempts.put(None)
            if failing:
                raise failing.pop()
            return real(*arguments)

        relay.outbox.pending = pending  # type: ignore[method-assign, assignment]
    else:
        broker.down = error
    save()
    relay.start()
    for _ in range(4):
        broker.take_attempt()
        clock.wait_until_parked()
        clock.advance(MAX_BACKOFF_SECONDS)
    broker.take_attempt()
    broker.down = None
    clock.wait_until_parked()
    clock.advance(MAX_BACKOFF_SECONDS)
    assert broker.published.wait(10)
    relay.stop()
    assert caplog.text.count("events wait in the outbox") == 1
    assert caplog.text.count("published again") == 1


def test_stopping_publishes_what_waits(save: Any, relay: Relay, broker: FlakyBroker) -> None:
    relay.start()
    broker.clock.wait_until_parked()
    save()
    relay.stop()
    assert len(broker.got) == 1


def test_it_counts_what_waits_and_forgets_what_is_old(
    save: Any, relay: Relay, clock: ManualClock
) -> None:
    save()
    assert relay.outbox.counts() == (1, clock.now(), 0)
    relay.publish_pending()
    clock.advance(10)
    assert relay.outbox.forget_published(clock.now() - 11) == 0
    assert relay.outbox.forget_published(clock.now()) == 1


def test_a_session_that_is_none_is_named() -> None:
    with pytest.raises(TypeError, match="this is a str"):
        outbox.publish("session", "made", 1)
