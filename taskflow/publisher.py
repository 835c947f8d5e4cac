"""Publishing events, by default to the broker the environment names."""

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any, Protocol
from uuid import UUID

from taskflow.broker import Broker
from taskflow.broker.traffic import Traffic
from taskflow.clock import Clock, Instant, epoch_seconds
from taskflow.config import open_broker
from taskflow.event import DEFAULT_SOURCE, NO_TEXTS, Event, current, trace_child
from taskflow.message import Message, new_id
from taskflow.outgoing import check_may_join, collecting, outgoing
from taskflow.placing import new_place
from taskflow.registry import Registry, default_registry
from taskflow.sealing.sealed_broker import sealed
from taskflow.stores.plain import TakesPublishes
from taskflow.telemetry.tracing import active, carried, sending

_lock = threading.RLock()  # a handler of signals may publish while this thread has it
_default: Broker | None = None
_opened_by = 0  # the process that opened it; a fork opens its own


def default_broker() -> Broker:
    """The broker of this process, opened at the first call (`taskflow.open_broker()`). Within a
    task it is the one that the task came from."""
    global _default, _opened_by
    if (out := outgoing.get()) is not None and not out.closed:
        return out.broker
    with _lock:
        if (found := _opened_here()) is None:
            opened = open_broker()
            if (found := _opened_here()) is None:
                found = _default = opened
                _opened_by = os.getpid()
            else:  # by a handler of signals, which came meanwhile
                opened.close()
        return found


def _opened_here() -> Broker | None:
    return _default if _opened_by in (0, os.getpid()) else None


def broker_of(given: Broker | None = None, registry: Registry = default_registry) -> Broker:
    """The broker that was given, or the default one; with what goes into it sealed, if the registry
    has a codec."""
    return sealed(given or default_broker(), registry.codec)


def _after_fork() -> None:
    """A thread that is not here may hold the lock."""
    global _lock
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def using(broker: Broker) -> Iterator[Broker]:
    """Make `broker` the default one inside the block."""
    global _default, _opened_by
    with _lock:
        before, _default, _opened_by = (_default, _opened_by), broker, 0
    try:
        yield broker
    finally:
        with _lock:
            _default, _opened_by = before


_text = str.__new__


class EventId(str):
    """The id of a published event. `reached`: how many subscriptions its topic has; 0 means that it
    went nowhere, as on SNS."""

    __slots__ = ("reached",)
    reached: int

    def __new__(cls, id: str, reached: int) -> "EventId":
        made = _text(cls, id)
        made.reached = reached
        return made

    def __getnewargs__(self) -> tuple[str, int]:  # type: ignore[override]
        return str(self), self.reached


def _event_id(id: str, reached: int) -> EventId:
    """As to call the class, which takes several times as long."""
    made = _text(EventId, id)
    made.reached = reached
    return made


def publish(
    topic: str,
    payload: Any,
    *,
    id: str | UUID | None = None,
    delay: float = 0.0,
    at: Instant | None = None,
    source: str = DEFAULT_SOURCE,
    subject: str | None = None,
    correlation_id: str | None = None,
    traceparent: str | None = None,
    attributes: Mapping[str, str] = NO_TEXTS,
    group: str | None = None,
    broker: Traffic | None = None,
    connection: object = None,
    hold_group: bool = False,
) -> EventId:
    """Publish one event to every queue that subscribes to `topic`; answers its id, which tells how
    many that were.

    When it returns, the event is stored (`durability=power`: on disk). `payload` is anything
    JSON can hold: dict, dataclass, Struct, pydantic model. `id` defaults to a UUIDv7; the same
    id on the same topic is one event. It is due after `delay` seconds, or at `at` (epoch
    seconds, or a datetime with a time zone). Within a task it is published when that succeeds, in
    the transaction that settles it (stored brokers). On a FIFO topic (`orders.fifo`) `group` is
    needed: events of one group are handled in order. Inside a handler it continues the trace and
    correlation of the handled event.
    `connection` is one of yours to the broker's own database (PostgreSQL: of psycopg, SQLAlchemy or
    Django) in a transaction: the event is part of that, gone with a rollback. `hold_group` allows
    that on a FIFO topic, whose group stands still until the transaction ends. Raises ConfigError
    where it cannot be, and what the driver raises.
    Raises TopicNotFound, LimitExceeded, SealFailed, BrokerUnavailable; TypeError for an argument
    of another type and a payload that is no JSON; ValueError for a control character and for an
    infinite number.
    """
    if broker is None:
        broker = broker_of()
    elif (codec := default_registry.codec) is not None:
        broker = sealed(broker, codec)
    if (
        (id is None and subject is None and correlation_id is None and traceparent is None)
        and (at is None and group is None and connection is None and source is DEFAULT_SOURCE)
        and not (delay or attributes or hold_group)
        and (current.get() is None and outgoing.get() is None and active() is None)
        and (plain := _plain_way(broker)) is not None
        and (done := plain.publish(topic, payload, broker.max_message_bytes)) is not None
    ):
        made = _text(EventId, done)
        made.reached = 1
        return made
    if at is not None:
        if delay:
            raise ValueError("give delay or at, not both")
        delay = max(0.0, epoch_seconds("at", at) - broker.clock.now())
    if id is None and connection is None and (out := collecting(broker)) is not None:
        id = out.new_id(topic)
    with sending(topic, causes=() if traceparent is None else (traceparent,)):
        event = new_event(
            broker,
            topic,
            payload,
            id=id,
            source=source,
            subject=subject,
            correlation_id=correlation_id,
            traceparent=traceparent,
            attributes=attributes,
            group=group,
        )
        messages = [event.message(delay, broker.max_message_bytes)]
        return _event_id(event.id, _publish(broker, topic, messages, connection, hold_group))


def _plain_way(broker: Traffic) -> TakesPublishes | None:
    """Of whoever publishes for a broker, itself: one that stands before it has none, and whatever
    that does to each publish is done."""
    return getattr(getattr(broker.publish, "__self__", None), "plain", None)


def _publish(
    broker: Traffic, topic: str, messages: Sequence[Message], connection: object, hold_group: bool
) -> int:
    """Publish now, or when the task that does so has succeeded, or with the caller's transaction;
    answers how many subscriptions the topic has."""
    if connection is not None:
        check_may_join()
        joined = broker.publish(topic, messages, connection=connection, hold_group=hold_group)
        return joined.subscriptions
    if (out := collecting(broker)) is None:
        return broker.publish(topic, messages).subscriptions
    out.publish(topic, messages)
    return broker.publish(topic, []).subscriptions


class Maker(Protocol):
    """Whoever has a clock and randomness for new events: a broker, an outbox."""

    @property
    def clock(self) -> Clock:
        """Tells when an event happens."""
        ...

    @property
    def random(self) -> Random:
        """Makes ids."""
        ...


def new_event(
    broker: Maker,
    topic: str,
    payload: Any,
    *,
    id: str | UUID | None = None,
    source: str = DEFAULT_SOURCE,
    subject: str | None = None,
    correlation_id: str | None = None,
    traceparent: str | None = None,
    attributes: Mapping[str, str] = NO_TEXTS,
    group: str | None = None,
) -> Event[Any]:
    """An event that happens now, on the broker's clock, in the trace of the current one."""
    if isinstance(id, UUID):
        id = str(id)
    now, given = broker.clock.now(), traceparent
    if (cause := current.get()) is not None:
        correlation_id = correlation_id or cause.correlation_id or cause.id
        traceparent = traceparent or cause.traceparent
    return Event(
        topic=topic,
        payload=payload,
        id=new_id(now, broker.random, new_place(broker)) if id is None else id,
        time=now,
        source=source,
        subject=subject,
        correlation_id=correlation_id,
        causation_id=None if cause is None else cause.id,
        traceparent=_here(given) or trace_child(traceparent, broker.random),
        attributes=attributes,
        group=group,
    )


def _here(given: str | None) -> str | None:
    """The span that is current, unless it is of another trace than was asked for."""
    here = carried()
    return here if here is None or given is None or given[:35] == here[:35] else None


def publish_many(
    events: Iterable[Event[Any]],
    *,
    broker: Traffic | None = None,
    connection: object = None,
    hold_group: bool = False,
) -> list[EventId]:
    """Publish events as they are, one transaction per topic; answers their ids in order.

    All events of a topic are stored or none; topics go in the order of their first event.
    `connection` and `hold_group` are as for `publish`, and raised is what that raises.
    """
    broker = broker_of() if broker is None else sealed(broker, default_registry.codec)
    wanted = list(events)
    by_topic: dict[str, list[Event[Any]]] = {}
    reached: dict[str, int] = {}
    for event in wanted:
        by_topic.setdefault(event.topic, []).append(event)
    plain = None
    if connection is None and outgoing.get() is None and active() is None:
        plain = _plain_way(broker)
    for topic, some in by_topic.items():
        if plain is not None and plain.publish_many(topic, some, broker.max_message_bytes):
            reached[topic] = 1
            continue
        messages = [event.message(most=broker.max_message_bytes) for event in some]
        with sending(topic, len(some), [event.traceparent for event in some]):
            reached[topic] = _publish(broker, topic, messages, connection, hold_group)
    return [_event_id(event.id, reached[event.topic]) for event in wanted]
