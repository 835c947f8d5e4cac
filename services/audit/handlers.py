"""The worker side of audit: every order event goes into the log, once."""

import os
from functools import cache
from typing import Any

import msgspec

from services.audit.config import Config
from services.audit.entry import Entry
from services.audit.repository import AuditLog, EventIdReused
from taskflow import Event, Reject, subscribe
from taskflow.clock import Clock, SystemClock, rfc3339

TOPICS = (
    "order.created",
    "order.cancelled",
    "order.refunded",
    "order.fulfilled",
    "payment.refunded",
)


class Recorder:
    """Writes events into an audit log. Thread-safe; an event already there is left alone."""

    def __init__(self, log: AuditLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    def record(self, event: Event[Any]) -> None:
        """Append an event. Raises Reject when its id is in the log with other content."""
        entry = Entry(
            seq=0,
            event_id=event.id,
            topic=event.topic,
            source=event.source,
            occurred_at=rfc3339(event.time),
            recorded_at=rfc3339(self._clock.now()),
            # Sorted, so that the same payload is the same bytes when it is delivered twice.
            body=msgspec.json.encode(event.payload, order="sorted"),
            prev_hash=b"",
        )
        try:
            self._log.append(entry)
        except EventIdReused as error:
            raise Reject(str(error)) from error


@cache
def get_recorder() -> Recorder:
    """The recorder of this process, opened at the first event from AUDIT_*."""
    config = Config.from_environ(os.environ)
    log = AuditLog(config.database, config.checkpoints)
    log.create()
    return Recorder(log, SystemClock())


@subscribe(*TOPICS, queue="audit", retries=5, backoff=0.5)
def record(event: Event[Any]) -> None:
    """Write the event down."""
    get_recorder().record(event)
