"""The broker verbs that declare: topics, queues, subscriptions, tags."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from random import Random

from taskflow.broker.settings import Described, QueueSettings, TopicSettings, TopicSubscription
from taskflow.brokers.stored.waiters import Waiters
from taskflow.clock import Clock
from taskflow.errors import (
    LimitExceeded,
    QueueExists,
    QueueNotFound,
    TopicExists,
    TopicNotFound,
)
from taskflow.filters import parse_filter
from taskflow.limits import MAX_TAGS, check_queue, check_stored_topic, is_fifo
from taskflow.message import new_id
from taskflow.stores.base import QueueRow, Rows, Store, TopicRow

DEFAULT_SETTINGS = QueueSettings()
DEFAULT_TOPIC = TopicSettings()


class Declarations:
    """A part of EmbeddedBroker; `taskflow.broker.Broker` is the contract."""

    clock: Clock
    random: Random
    _store: Store
    _waiters: Waiters

    # ---- topics -----------------------------------------------------------------------------
    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._store.write():
            yield
        self._store.sync()

    def create_topic(self, name: str, settings: TopicSettings = DEFAULT_TOPIC) -> None:
        check_stored_topic(name)
        with self._store.read() as rows:
            if self._topic_agrees(rows, name, settings):
                return
        with self._store.write() as rows:
            if not self._topic_agrees(rows, name, settings):
                rows.put_topic(name, settings, self.clock.now())
        self._store.sync()

    @staticmethod
    def _topic_agrees(rows: Rows, name: str, settings: TopicSettings) -> bool:
        """False when there is no such topic; raises when it differs."""
        found = rows.topic(name)
        if found is not None and found.settings != settings:
            what = _differences(found.settings, settings)
            raise TopicExists(f"topic {name!r} exists with other attributes: {what}")
        return found is not None

    def set_topic(self, name: str, settings: TopicSettings) -> None:
        with self._store.write() as rows:
            find_topic(rows, name)
            rows.put_topic(name, settings, self.clock.now())
        self._store.sync()

    def delete_topic(self, name: str) -> None:
        with self._store.write() as rows:
            for subscription in rows.subscriptions(name):
                _drop_subscription(rows, subscription)
            rows.drop_topic(name)
        self._store.sync()

    def topics(self) -> list[str]:
        with self._store.read() as rows:
            return rows.topics()

    def topic_settings(self, topic: str) -> TopicSettings:
        with self._store.read() as rows:
            return find_topic(rows, topic).settings

    # ---- queues -----------------------------------------------------------------------------
    def create_queue(self, name: str, settings: QueueSettings = DEFAULT_SETTINGS) -> None:
        check_queue(name)
        with self._store.read() as rows:
            if self._queue_agrees(rows, name, settings):
                return
        with self._store.write() as rows:
            if not self._queue_agrees(rows, name, settings):
                _check_queue_settings(rows, name, settings)
                rows.put_queue(name, settings, self.clock.now())
        self._store.sync()

    @staticmethod
    def _queue_agrees(rows: Rows, name: str, settings: QueueSettings) -> bool:
        """False when there is no such queue; raises when it differs."""
        found = rows.queue(name)
        if found is not None and found.settings != settings:
            what = _differences(found.settings, settings)
            raise QueueExists(f"queue {name!r} exists with other attributes: {what}")
        return found is not None

    def set_queue(self, name: str, settings: QueueSettings) -> None:
        with self._store.write() as rows:
            found = find_queue(rows, name)
            _check_queue_settings(rows, name, settings, found.settings)
            rows.put_queue(name, settings, self.clock.now())
            if found.fifo and settings.delay != found.settings.delay:
                rows.delay_again(found.id, settings.delay)
        self._waiters.announce([name])
        self._store.sync()

    def delete_queue(self, name: str) -> None:
        with self._store.write() as rows:
            rows.drop_queue(find_queue(rows, name))
        self._store.sync()

    def queues(self) -> list[str]:
        with self._store.read() as rows:
            return rows.queues()

    def settings(self, queue: str) -> QueueSettings:
        with self._store.read() as rows:
            return find_queue(rows, queue).settings

    # ---- subscriptions ----------------------------------------------------------------------
    def subscribe(self, topic: str, queue: str) -> None:
        with self._store.read() as rows:
            if rows.find_subscription(topic, "sqs", queue) is not None:
                return
            find_queue(rows, queue)
        id = new_id(self.clock.now(), self.random)
        self.put_subscription(TopicSubscription(id, topic, "sqs", queue))

    def put_subscription(self, subscription: TopicSubscription) -> None:
        if subscription.filter_policy is not None:
            parse_filter(subscription.filter_policy, subscription.filter_scope)
        topic, queue = subscription.topic, subscription.queue
        if is_fifo(queue) and not is_fifo(topic):
            raise LimitExceeded(
                f"queue {queue!r} is FIFO and topic {topic!r} is not: its order would be lost"
            )
        with self._store.write() as rows:
            find_topic(rows, topic)
            if subscription.protocol != "sqs" and rows.queue(queue) is None:
                rows.put_queue(queue, DEFAULT_SETTINGS, self.clock.now())
            rows.put_subscription(subscription)
        self._store.sync()

    def unsubscribe(self, id: str) -> None:
        with self._store.write() as rows:
            if (found := rows.subscription(id)) is not None:
                _drop_subscription(rows, found)
        self._store.sync()

    def subscriptions(self, topic: str | None = None) -> list[TopicSubscription]:
        with self._store.read() as rows:
            return rows.subscriptions(topic)

    # ---- tags -------------------------------------------------------------------------------
    def describe_queue(self, queue: str) -> Described:
        with self._store.read() as rows:
            found = rows.described("queue", queue)
            if found is None:
                raise QueueNotFound(queue, rows.queues())
            return found

    def describe_topic(self, topic: str) -> Described:
        with self._store.read() as rows:
            found = rows.described("topic", topic)
            if found is None:
                raise TopicNotFound(topic, rows.topics())
            return found

    def tag_queue(self, queue: str, tags: Mapping[str, str | None]) -> None:
        with self._store.write() as rows:
            find_queue(rows, queue)
            self._tag(rows, "queue", queue, tags)
        self._store.sync()

    def tag_topic(self, topic: str, tags: Mapping[str, str | None]) -> None:
        with self._store.write() as rows:
            find_topic(rows, topic)
            self._tag(rows, "topic", topic, tags)
        self._store.sync()

    @staticmethod
    def _tag(rows: Rows, kind: str, name: str, tags: Mapping[str, str | None]) -> None:
        rows.tag(kind, name, tags)
        found = rows.described(kind, name)
        if found is not None and len(found.tags) > MAX_TAGS:
            raise LimitExceeded(f"{kind} {name!r} would have {len(found.tags)} tags; {MAX_TAGS}")


def _differences(found: object, declared: object) -> str:
    return "; ".join(
        f"{field.name} is {getattr(found, field.name)}, declared as {getattr(declared, field.name)}"
        for field in fields(found)  # type: ignore[arg-type]  # both are settings
        if getattr(found, field.name) != getattr(declared, field.name)
    )


def _check_queue_settings(
    rows: Rows, name: str, settings: QueueSettings, before: QueueSettings = DEFAULT_SETTINGS
) -> None:
    target = settings.dead_letter_queue
    if target == name:
        raise LimitExceeded(f"queue {name!r} cannot be its own dead-letter queue")
    # One that was named before may have been deleted since: other settings can change still.
    if target is not None and target != before.dead_letter_queue:
        found = find_queue(rows, target)
        if found.fifo != is_fifo(name):
            raise LimitExceeded(
                f"the dead-letter queue of a FIFO queue is FIFO, of a standard queue standard; "
                f"{target!r} and {name!r} differ"
            )
        allowed = found.settings.redrive_sources
        if allowed is not None and name not in allowed:
            raise LimitExceeded(
                f"queue {target!r} does not allow {name!r} to use it as its dead-letter queue"
            )
    if not is_fifo(name):
        plain = replace(
            settings,
            content_based_deduplication=False,
            deduplication_scope="queue",
            throughput_limit="perQueue",
        )
        if settings != plain:
            raise LimitExceeded(f"queue {name!r} is not FIFO: it deduplicates nothing")


def _drop_subscription(rows: Rows, subscription: TopicSubscription) -> None:
    rows.drop_subscription(subscription.id)
    if subscription.protocol != "sqs" and (hidden := rows.queue(subscription.queue)):
        rows.drop_queue(hidden)


def find_topic(rows: Rows, name: str) -> TopicRow:
    """The row of a topic. Raises TopicNotFound."""
    found = rows.topic(name)
    if found is None:
        raise TopicNotFound(name, rows.topics())
    return found


def find_queue(rows: Rows, name: str) -> QueueRow:
    """The row of a queue. Raises QueueNotFound."""
    found = rows.queue(name)
    if found is None:
        raise QueueNotFound(name, rows.queues())
    return found
