"""The broker verbs that declare: in all files alike, looked at in the leader's."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from taskflow.broker.settings import QueueSettings, TopicSettings, TopicSubscription
from taskflow.brokers.sharded.agreement import Agreement
from taskflow.brokers.sharded.course import Course
from taskflow.brokers.sharded.shard import Shard
from taskflow.brokers.stored.broker import StoredBroker
from taskflow.brokers.stored.declare import DEFAULT_SETTINGS, DEFAULT_TOPIC
from taskflow.message import new_id

T = TypeVar("T")


class Declarations:
    """Thread-safe."""

    def __init__(self, course: Course, leader: Shard, agreement: Agreement) -> None:
        self._steady = course.steady
        self._leader = leader
        self._agreement = agreement

    def together(self, work: Callable[[], T]) -> T:
        """Run `work`, whose verbs are one change."""
        return self._steady(lambda: self._agreement.together(work))

    def _everywhere(self, change: Callable[[StoredBroker], None]) -> None:
        self._steady(lambda: self._agreement.everywhere(change))

    def create_topic(self, name: str, settings: TopicSettings = DEFAULT_TOPIC) -> None:
        """Declare a topic."""
        leader = self._leader.broker
        if name in leader.topics():
            leader.create_topic(name, settings)  # it agrees, or raises
            return
        self._everywhere(lambda broker: broker.create_topic(name, settings))

    def set_topic(self, name: str, settings: TopicSettings) -> None:
        """Replace the settings of a topic."""
        self._everywhere(lambda broker: broker.set_topic(name, settings))

    def delete_topic(self, name: str) -> None:
        """Remove a topic and its subscriptions."""
        self._everywhere(lambda broker: broker.delete_topic(name))

    def create_queue(self, name: str, settings: QueueSettings = DEFAULT_SETTINGS) -> None:
        """Declare a queue."""
        leader = self._leader.broker
        if name in leader.queues():
            leader.create_queue(name, settings)  # it agrees, or raises
            return
        self._everywhere(lambda broker: broker.create_queue(name, settings))

    def set_queue(self, name: str, settings: QueueSettings) -> None:
        """Replace the settings of a queue."""
        self._everywhere(lambda broker: broker.set_queue(name, settings))

    def delete_queue(self, name: str) -> None:
        """Remove a queue and all it holds."""
        self._everywhere(lambda broker: broker.delete_queue(name))

    def subscribe(self, topic: str, queue: str) -> None:
        """Fan a topic out to a queue."""
        leader = self._leader
        known = leader.store.look(lambda rows: rows.find_subscription(topic, "sqs", queue))
        if known is None:
            leader.broker.settings(queue)  # raises for one that is not there
            id = new_id(leader.broker.core.now(), leader.broker.random)
            self.put_subscription(TopicSubscription(id, topic, "sqs", queue))

    def put_subscription(self, subscription: TopicSubscription) -> None:
        """Add a subscription, or replace it."""
        self._everywhere(lambda broker: broker.put_subscription(subscription))

    def unsubscribe(self, id: str) -> None:
        """Remove a subscription."""
        self._everywhere(lambda broker: broker.unsubscribe(id))

    def tag_queue(self, queue: str, tags: Mapping[str, str | None]) -> None:
        """Set and remove tags of a queue."""
        self._everywhere(lambda broker: broker.tag_queue(queue, tags))

    def tag_topic(self, topic: str, tags: Mapping[str, str | None]) -> None:
        """Set and remove tags of a topic."""
        self._everywhere(lambda broker: broker.tag_topic(topic, tags))

    def set_identity(self, values: Mapping[str, str]) -> None:
        """Note what the wire server is."""
        self._everywhere(lambda broker: broker.set_identity(values))

    def pause(self, queue: str, paused: bool = True) -> None:
        """Let nobody receive from a queue, or everybody again."""
        self._everywhere(lambda broker: broker.pause(queue, paused))

    def purged(self, queue: str) -> None:
        """Note that a queue is being purged."""
        self._everywhere(lambda broker: broker.purged(queue))
