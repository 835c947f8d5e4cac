"""The events that order tells of, saved in the transaction of what they tell."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from taskflow import outbox
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


def save_events(connection: Connection, events: Iterable[OrderEvent]) -> None:
    """Save events in the caller's transaction."""
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
