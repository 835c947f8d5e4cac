"""Tables: what a list broker keeps, and puts back when a change fails."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from taskflow.broker.settings import (
    Described,
    QueueSettings,
    TopicSettings,
    TopicSubscription,
)
from taskflow.errors import (
    LimitExceeded,
    QueueExists,
    QueueNotFound,
    TopicExists,
    TopicNotFound,
)
from taskflow.filters import parse_filter
from taskflow.limits import MAX_TAGS, check_queue, check_stored_topic, is_fifo
from taskflow.wire.differences import differences
from tests.contract.list_broker.list_queue import ListQueue
from tests.contract.list_broker.list_topic import ListTopic


class Tables:
    """Topics and queues by name. Who calls holds the broker's lock, and hands over the time."""

    def __init__(self) -> None:
        self.topics: dict[str, ListTopic] = {}
        self.queues: dict[str, ListQueue] = {}

    @contextmanager
    def undone_by_errors(self) -> Iterator[None]:
        topics = {name: topic.copy() for name, topic in self.topics.items()}
        queues = {name: queue.copy() for name, queue in self.queues.items()}
        try:
            yield
        except BaseException:
            self.topics, self.queues = topics, queues
            raise

    def topic(self, name: str) -> ListTopic:
        if name not in self.topics:
            raise TopicNotFound(name, self.topics)
        return self.topics[name]

    def queue(self, name: str) -> ListQueue:
        if name not in self.queues:
            raise QueueNotFound(name, self.queues)
        return self.queues[name]

    def create_topic(self, name: str, settings: TopicSettings, now: float) -> None:
        refuse_fifo(check_stored_topic(name))
        if (found := self.topics.get(name)) is None:
            self.topics[name] = ListTopic(name, settings, now, now)
        elif wrong := differences(found.settings, settings):
            raise TopicExists(f"topic {name!r}: {'; '.join(wrong)}")

    def create_queue(self, name: str, settings: QueueSettings, now: float) -> None:
        refuse_fifo(check_queue(name))
        if (found := self.queues.get(name)) is not None:
            if wrong := differences(found.settings, settings):
                raise QueueExists(f"queue {name!r}: {'; '.join(wrong)}")
            return
        self.check(name, settings)
        self.queues[name] = ListQueue(name, settings, now, now)

    def check(self, name: str, settings: QueueSettings) -> None:
        """Raise for settings that this queue cannot have."""
        if settings.content_based_deduplication or settings.deduplication_scope != "queue":
            raise LimitExceeded(f"queue {name!r} is not FIFO, so it deduplicates nothing")
        if settings.dead_letter_queue is None:
            return
        if settings.dead_letter_queue == name:
            raise LimitExceeded(f"queue {name!r} cannot be its own dead-letter queue")
        sources = self.queue(settings.dead_letter_queue).settings.redrive_sources
        if sources is not None and name not in sources:
            raise LimitExceeded(f"{settings.dead_letter_queue!r} does not allow {name!r}")

    def subscribe(self, topic: str, queue: str) -> None:
        found = self.topic(topic).subscriptions
        self.queue(queue)
        if all(one.endpoint != queue for one in found):
            self.put(TopicSubscription(f"{topic}:{queue}", topic, "sqs", queue))

    def put(self, subscription: TopicSubscription) -> None:
        if subscription.protocol != "sqs" or not subscription.raw:
            raise LimitExceeded("this broker has raw subscriptions of queues")
        refuse_fifo(subscription.endpoint)
        if subscription.filter_policy is not None:
            parse_filter(subscription.filter_policy, subscription.filter_scope)
        topic = self.topic(subscription.topic)
        self.unsubscribe(subscription.id)
        topic.subscriptions.append(subscription)

    def unsubscribe(self, id: str) -> None:
        for topic in self.topics.values():
            topic.remove(id)

    def subscriptions(self, topics: Collection[str]) -> list[TopicSubscription]:
        found = [one for name in topics for one in self.topic(name).subscriptions]
        return sorted(found, key=lambda one: (one.topic, one.endpoint))


def tag(one: ListTopic | ListQueue, tags: dict[str, str | None]) -> None:
    new = {name: text for name, text in {**one.tags, **tags}.items() if text is not None}
    if len(new) > MAX_TAGS:
        raise LimitExceeded(f"{len(new)} tags; {MAX_TAGS} are allowed")
    one.tags = new


def describe(one: ListTopic | ListQueue) -> Described:
    return Described(one.created_at, one.modified_at, one.tags)


def refuse_fifo(name: str) -> None:
    if is_fifo(name):
        raise LimitExceeded(f"{name!r}: this broker has standard queues and topics only")
