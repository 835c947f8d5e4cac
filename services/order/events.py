"""The events that order tells of, saved in the transaction of what they tell."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from taskflow import outbox, publish
from taskflow.clock import Clock

SOURCE = "order"


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """An event about an order, which is its subject. `clock` says when it happens."""

    event_id: str
    topic: str
    subject: str
    payload: dict[str, Any]
    clock: Clock


Save = Callable[[Connection, Iterable[OrderEvent]], None]
"""Saves events in the caller's transaction."""


def publish_events(connection: Connection, events: Iterable[OrderEvent]) -> None:
    """Publish events in the caller's transaction, by the broker of this process, which lies in the
    same database."""
    for event in events:
        publish(
            event.topic,
            event.payload,
            id=event.event_id,
            source=SOURCE,
            subject=event.subject,
            connection=connection,
        )


def save_events(connection: Connection, events: Iterable[OrderEvent]) -> None:
    """Save events in the outbox, in the caller's transaction."""
    for event in events:
        outbox.publish(
            connection,
            event.topic,
            event.payload,
            id=event.event_id,
            source=SOURCE,
            subject=event.subject,
            clock=event.clock,
        )
