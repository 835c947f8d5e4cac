"""Declarations: the declaring half of Admin over lists."""

import threading
from collections.abc import Callable, Mapping
from typing import TypeVar

from taskflow.broker.settings import Described, QueueSettings, TopicSettings, TopicSubscription
from taskflow.clock import Clock
from tests.contract.list_broker.tables import Tables, describe, tag

T = TypeVar("T")


class Declarations:
    """Topics, queues and subscriptions, declared and told. `changed` is the broker's lock."""

    def __init__(self, tables: Tables, changed: threading.Condition, clock: Clock) -> None:
        self._tables = tables
        self._changed = changed
        self._clock = clock
        self._identity: dict[str, str] = {}

    def together(self, work: Callable[[], T]) -> T:
        with self._changed, self._tables.undone_by_errors():
            return work()

    def create_topic(self, name: str, settings: TopicSettings | None = None) -> None:
        with self._changed:
            self._tables.create_topic(name, settings or TopicSettings(), self._clock.now())

    def set_topic(self, name: str, settings: TopicSettings) -> None:
        with self._changed:
            topic = self._tables.topic(name)
            topic.settings, topic.modified_at = settings, self._clock.now()

    def delete_topic(self, name: str) -> None:
        with self._changed:
            self._tables.topics.pop(name, None)

    def create_queue(self, name: str, settings: QueueSettings | None = None) -> None:
        with self._changed:
            self._tables.create_queue(name, settings or QueueSettings(), self._clock.now())

    def set_queue(self, name: str, settings: QueueSettings) -> None:
        with self._changed:
            queue = self._tables.queue(name)
            self._tables.check(name, settings)
            queue.settings, queue.modified_at = settings, self._clock.now()

    def delete_queue(self, name: str) -> None:
        with self._changed:
            self._tables.queue(name)
            del self._tables.queues[name]

    def subscribe(self, topic: str, queue: str) -> None:
        with self._changed:
            self._tables.subscribe(topic, queue)

    def put_subscription(self, subscription: TopicSubscription) -> None:
        with self._changed:
            self._tables.put(subscription)

    def unsubscribe(self, id: str) -> None:
        with self._changed:
            self._tables.unsubscribe(id)

    def topics(self) -> list[str]:
        with self._changed:
            return sorted(self._tables.topics)

    def queues(self) -> list[str]:
        with self._changed:
            return sorted(self._tables.queues)

    def subscriptions(self, topic: str | None = None) -> list[TopicSubscription]:
        with self._changed:
            return self._tables.subscriptions(self._tables.topics if topic is None else [topic])

    def settings(self, queue: str) -> QueueSettings:
        with self._changed:
            return self._tables.queue(queue).settings

    def topic_settings(self, topic: str) -> TopicSettings:
        with self._changed:
            return self._tables.topic(topic).settings

    def describe_queue(self, queue: str) -> Described:
        with self._changed:
            return describe(self._tables.queue(queue))

    def describe_topic(self, topic: str) -> Described:
        with self._changed:
            return describe(self._tables.topic(topic))

    def tag_queue(self, queue: str, tags: Mapping[str, str | None]) -> None:
        with self._changed:
            tag(self._tables.queue(queue), {**tags})

    def tag_topic(self, topic: str, tags: Mapping[str, str | None]) -> None:
        with self._changed:
            tag(self._tables.topic(topic), {**tags})

    def identity(self) -> dict[str, str]:
        return {**self._identity}

    def set_identity(self, values: Mapping[str, str]) -> None:
        self._identity.update(values)
