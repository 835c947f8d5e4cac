"""The transactional outbox: events are saved with the order they tell of, and published after.

A row is written in the transaction that changes the order, so one never exists without the
other. The relay publishes rows in the order of their numbers under their stored event ids, then
marks them. A crash in between publishes a row again with the same id, which consumers absorb.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from threading import Condition, Thread
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, delete, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from services.database import READ_ONLY
from services.order.tables import outbox
from taskflow import Broker, Event
from taskflow.clock import Clock
from taskflow.errors import BrokerError, TopicNotFound

SOURCE = "order"
BATCH = 100
POLL_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 30.0

logger = logging.getLogger("services.order.outbox")


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """An event on its way out. `time` in epoch seconds; `seq` once it is stored."""

    event_id: str
    topic: str
    subject: str
    payload: dict[str, Any]
    time: float
    seq: int = 0


def add_events(connection: Connection, events: Iterable[OutboxEvent]) -> None:
    """Save events in the caller's transaction."""
    for event in events:
        connection.execute(
            insert(outbox).values(
                event_id=event.event_id,
                topic=event.topic,
                subject=event.subject,
                payload=msgspec.json.encode(event.payload).decode(),
                created_at=event.time,
            )
        )


class Outbox:
    """The rows that wait to be published. Thread-safe; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def pending(self, limit: int = BATCH) -> list[OutboxEvent]:
        """The oldest rows not yet published."""
        query = (
            select(outbox)
            .where(outbox.c.published_at.is_(None))
            .order_by(outbox.c.seq)
            .limit(limit)
        )
        with self._engine.connect().execution_options(**READ_ONLY) as connection:
            return [
                OutboxEvent(
                    event_id=row.event_id,
                    topic=row.topic,
                    subject=row.subject,
                    payload=msgspec.json.decode(row.payload),
                    time=row.created_at,
                    seq=row.seq,
                )
                for row in connection.execute(query)
            ]

    def mark_published(self, events: Sequence[OutboxEvent], now: float) -> None:
        """Note that these rows were published at `now`."""
        change = update(outbox).where(outbox.c.seq.in_([event.seq for event in events]))
        with self._engine.begin() as connection:
            connection.execute(change.values(published_at=now))

    def count_pending(self) -> tuple[int, float | None]:
        """How many rows wait, and since when (epoch seconds) the oldest does."""
        query = select(func.count(), func.min(outbox.c.created_at)).where(
            outbox.c.published_at.is_(None)
        )
        with self._engine.connect().execution_options(**READ_ONLY) as connection:
            count, oldest = connection.execute(query).one()
        return int(count), oldest

    def forget_published(self, before: float) -> int:
        """Delete rows published before that time; answers how many."""
        with self._engine.begin() as connection:
            return connection.execute(delete(outbox).where(outbox.c.published_at < before)).rowcount


class NobodySubscribes(BrokerError):
    """No queue takes events of this topic yet: publishing one would lose it."""


def publisher(broker: Broker) -> Callable[[list[Event[Any]]], None]:
    """Publishes events of one topic. They are published only if a queue subscribes to it.

    A topic without queues drops what it is sent, as on SNS, and says so. On a fresh broker that is
    the case until the workers have declared their queues; until then the events wait in the
    outbox, and are sent again under the same ids.
    """

    def publish(events: list[Event[Any]]) -> None:
        topic = events[0].topic
        try:
            reach = broker.publish(topic, [event.message() for event in events]).subscriptions
        except TopicNotFound:
            reach = 0
        if not reach:
            raise NobodySubscribes(
                f"no queue subscribes to {topic!r} yet; start the workers, or declare "
                "their queues with `python cli.py topology apply`"
            )

    return publish


class Relay:
    """Publishes the outbox, on a thread of its own.

    It works when `wake` is called and otherwise looks every second, since another process may
    have left rows behind. While the broker fails it waits longer and longer, up to 30 s, and
    says so once; no row is ever dropped.
    """

    def __init__(
        self, rows: Outbox, publish: Callable[[list[Event[Any]]], object], clock: Clock
    ) -> None:
        self._outbox = rows
        self._publish = publish
        self._clock = clock
        self._condition = Condition()
        self._awake = False
        self._stopping = False
        self._failures = 0
        self._thread = Thread(target=self._run, name="outbox-relay", daemon=True)

    def start(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def wake(self) -> None:
        """Say that there are new rows. Cheap, from any thread."""
        with self._condition:
            self._awake = True
            self._condition.notify_all()

    def stop(self) -> None:
        """Publish what can be published now, and end the thread. Idempotent."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def publish_pending(self) -> int:
        """Publish all pending rows; answers how many. Raises what the broker raises."""
        published = 0
        while batch := self._outbox.pending():
            # One topic at a time, as far as it goes: an order is never cancelled before it is
            # created.
            for _, group in groupby(batch, key=lambda row: row.topic):
                rows = list(group)
                self._publish([_to_event(row) for row in rows])
                self._outbox.mark_published(rows, self._clock.now())
            published += len(batch)
        return published

    def _run(self) -> None:
        while True:
            pause = self._try_once()
            with self._condition:
                # A failing broker is not asked more often because orders keep coming.
                if not self._stopping and not (self._awake and not self._failures):
                    self._clock.wait(self._condition, pause)
                self._awake = False
                if self._stopping:
                    break
        self._try_once()

    def _try_once(self) -> float:
        """Publish once; answers how many seconds to wait before the next look."""
        try:
            self.publish_pending()
        except (BrokerError, SQLAlchemyError) as error:
            self._failures += 1
            if self._failures == 1:
                logger.error("events wait in the outbox, nothing is lost: %s", error)
            backoff: float = 0.5 * 2 ** min(self._failures, 10)
            return min(backoff, MAX_BACKOFF_SECONDS)
        if self._failures:
            logger.info("the outbox is published again, after %d failures", self._failures)
        self._failures = 0
        return POLL_SECONDS


def _to_event(row: OutboxEvent) -> Event[Any]:
    return Event(
        topic=row.topic,
        payload=row.payload,
        id=row.event_id,
        time=row.time,
        source=SOURCE,
        subject=row.subject,
    )
