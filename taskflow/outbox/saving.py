"""Saving an event in the caller's transaction."""

from collections.abc import Mapping
from random import Random
from typing import Any
from uuid import UUID

from taskflow.clock import Clock, Instant, SystemClock, epoch_seconds
from taskflow.event import DEFAULT_SOURCE, NO_TEXTS
from taskflow.forking import RANDOM
from taskflow.limits import MAX_PAYLOAD_BYTES, check_seconds, check_topic, is_fifo
from taskflow.outbox.databases import executor
from taskflow.outbox.saved_rows import insert
from taskflow.publisher import new_event


class _Here:
    """The time and the randomness of this process."""

    def __init__(self, clock: Clock, random: Random) -> None:
        self.clock = clock
        self.random = random


MAX_DELAY = 14 * 86400.0  # seconds; no queue keeps a message longer
_CLOCK, _RANDOM = SystemClock(), RANDOM


def publish(
    session: Any,
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
    clock: Clock = _CLOCK,
    random: Random = _RANDOM,
) -> str:
    """Save one event in the transaction of `session`; answers its id. A relay publishes it.

    As `taskflow.publish`, and refused now for what a broker would refuse later: TypeError for a
    payload that is no JSON, InvalidName, LimitExceeded, ValueError. Rows go out in the order they
    were saved; those of one `subject` keep it whatever becomes of one of them. Nothing is saved
    when it raises, but what else the transaction did is still there: let the error undo it.
    """
    check_topic(topic)
    if at is not None:
        if delay:
            raise ValueError("give delay or at, not both")
        due: float | None = epoch_seconds("at", at)
    else:
        check_seconds("delay", delay, 0, MAX_DELAY)
        due = clock.now() + delay if delay else None
    event = new_event(
        _Here(clock, random),
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
    if is_fifo(topic) and group is None:
        raise ValueError(f"topic {topic!r} is FIFO: give a group")
    if is_fifo(topic) and due is not None:
        raise ValueError(f"topic {topic!r} is FIFO: its messages have no delays of their own")
    event.message(most=MAX_PAYLOAD_BYTES)  # whatever a broker would refuse for good
    insert(executor(session), event, due)
    return event.id
