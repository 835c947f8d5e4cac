"""The broker verbs that declare: topics, queues, subscriptions, tags."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from taskflow.broker.settings import Described, QueueSettings, TopicSettings, TopicSubscription
from taskflow.brokers.stored.core import Core
from taskflow.brokers.stored.lookup import find_queue, find_topic
from taskflow.errors import LimitExceeded, QueueExists, QueueNotFound, TopicExists, TopicNotFound
from taskflow.filters import parse_filter
from taskflow.limits import MAX_TAGS, check_queue, check_stored_topic, is_fifo
from taskflow.message import new_id
from taskflow.stores.rows import Rows
from taskflow.wire.differences import differences
from taskflow.wire.redrive import check_target

DEFAULT_SETTINGS = QueueSettings()
DEFAULT_TOPIC = TopicSettings()
_T = TypeVar("_T")


class Declarations:
    """Topics, queues and subscriptions of one store. Thread-safe."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def together(self, work: Callable[[], _T]) -> _T:
        """Run `work`, whose verbs are one change."""
        return self._core.store.transact(lambda _: work(), durable=True, alone=True)

    def _change(self, work: Callable[[Rows], None]) -> None:
        self._core.store.transact(work, durable=True, alone=True)

    # ---- topics -----------------------------------------------------------------------------
    def create_topic(self, name: str, settings: TopicSettings = DEFAULT_TOPIC) -> None:
        """Declare a topic."""
        check_stored_topic(name)

        def agrees(rows: Rows) -> bool:
            """False when there is no such topic; raises when it differs."""
            found = rows.topic(name)
            if found is not None and found.settings != settings:
                what = "; ".join(differences(found.settings, settings))
                raise TopicExists(f"topic {name!r} exists with other attributes: {what}")
            return found is not None

        def create(rows: Rows) -> None:
            if not agrees(rows):
                rows.put_topic(name, settings, self._core.now())

        if not self._core.store.look(agrees):
            self._change(create)

    def set_topic(self, name: str, settings: TopicSettings) -> None:
        """Replace the settings of a topic."""

        def change(rows: Rows) -> None:
            find_topic(rows, name)
            rows.put_topic(name, settings, self._core.now())

        self._change(change)

    def delete_topic(self, name: str) -> None:
        """Remove a topic and its subscriptions."""

        def delete(rows: Rows) -> None:
            for subscription in rows.subscriptions(name):
                _drop_subscription(rows, subscription)
            rows.drop_topic(name)

        self._change(delete)

    def topics(self) -> list[str]:
        """All topics."""
        return self._core.store.look(lambda rows: rows.topics())

    def topic_settings(self, topic: str) -> TopicSettings:
        """The attributes of a topic."""
        return self._core.store.look(lambda rows: find_topic(rows, topic).settings)

    # ---- queues -----------------------------------------------------------------------------
    def create_queue(self, name: str, settings: QueueSettings = DEFAULT_SETTINGS) -> None:
        """Declare a queue."""
        check_queue(name)

        def agrees(rows: Rows) -> bool:
            """False when there is no such queue; raises when it differs."""
            found = rows.queue(name)
            if found is not None and found.settings != settings:
                what = "; ".join(differences(found.settings, settings))
                raise QueueExists(f"queue {name!r} exists with other attributes: {what}")
            return found is not None

        def create(rows: Rows) -> None:
            if not agrees(rows):
                _check_queue_settings(rows, name, settings)
                rows.put_queue(name, settings, self._core.now())

        if not self._core.store.look(agrees):
            self._change(create)

    def set_queue(self, name: str, settings: QueueSettings) -> None:
        """Replace the settings of a queue."""

        def change(rows: Rows) -> None:
            found = find_queue(rows, name)
            _check_queue_settings(rows, name, settings, found.settings)
            rows.put_queue(name, settings, self._core.now())
            if found.fifo and settings.delay != found.settings.delay:
                rows.delay_again(found.id, settings.delay)

        self._core.store.transact(
            change,
            durable=True,
            committed=lambda _: self._core.waiters.announce([name]),
            alone=True,
        )

    def delete_queue(self, name: str) -> None:
        """Remove a queue and all it holds."""
        self._change(lambda rows: rows.drop_queue(find_queue(rows, name)))

    def queues(self) -> list[str]:
        """All queues."""
        return self._core.store.look(lambda rows: rows.queues())

    def settings(self, queue: str) -> QueueSettings:
        """The attributes of a queue."""
        return self._core.store.look(lambda rows: find_queue(rows, queue).settings)

    # ---- subscriptions ----------------------------------------------------------------------
    def subscribe(self, topic: str, queue: str) -> None:
        """Fan a topic out to a queue."""

        def known(rows: Rows) -> bool:
            if rows.find_subscription(topic, "sqs", queue) is not None:
                return True
            find_queue(rows, queue)
            return False

        if not self._core.store.look(known):
            id = new_id(self._core.now(), self._core.random)
            self.put_subscription(TopicSubscription(id, topic, "sqs", queue))

    def put_subscription(self, subscription: TopicSubscription) -> None:
        """Add a subscription, or replace it."""
        if subscription.filter_policy is not None:
            parse_filter(subscription.filter_policy, subscription.filter_scope)
        topic, queue = subscription.topic, subscription.queue
        if is_fifo(queue) and not is_fifo(topic):
            raise LimitExceeded(
                f"queue {queue!r} is FIFO and topic {topic!r} is not: its order would be lost"
            )

        def put(rows: Rows) -> None:
            find_topic(rows, topic)
            if subscription.protocol != "sqs" and rows.queue(queue) is None:
                rows.put_queue(queue, DEFAULT_SETTINGS, self._core.now())
            rows.put_subscription(subscription)

        self._change(put)

    def unsubscribe(self, id: str) -> None:
        """Remove a subscription."""

        def drop(rows: Rows) -> None:
            if (found := rows.subscription(id)) is not None:
                _drop_subscription(rows, found)

        self._change(drop)

    def subscriptions(self, topic: str | None = None) -> list[TopicSubscription]:
        """All subscriptions, or those of a topic."""
        return self._core.store.look(lambda rows: rows.subscriptions(topic))

    # ---- tags -------------------------------------------------------------------------------
    def describe_queue(self, queue: str) -> Described:
        """Times and tags of a queue."""

        def look(rows: Rows) -> Described:
            found = rows.described("queue", queue)
            if found is None:
                raise QueueNotFound(queue, rows.queues())
            return found

        return self._core.store.look(look)

    def describe_topic(self, topic: str) -> Described:
        """Times and tags of a topic."""

        def look(rows: Rows) -> Described:
            found = rows.described("topic", topic)
            if found is None:
                raise TopicNotFound(topic, rows.topics())
            return found

        return self._core.store.look(look)

    def tag_queue(self, queue: str, tags: Mapping[str, str | None]) -> None:
        """Set and remove tags of a queue."""

        def tag(rows: Rows) -> None:
            find_queue(rows, queue)
            _tag(rows, "queue", queue, tags)

        self._change(tag)

    def tag_topic(self, topic: str, tags: Mapping[str, str | None]) -> None:
        """Set and remove tags of a topic."""

        def tag(rows: Rows) -> None:
            find_topic(rows, topic)
            _tag(rows, "topic", topic, tags)

        self._change(tag)

    # ---- who serves it ----------------------------------------------------------------------
    def identity(self) -> dict[str, str]:
        """What the wire server noted of itself."""
        return self._core.store.look(lambda rows: rows.identity())

    def set_identity(self, values: Mapping[str, str]) -> None:
        """Note what the wire server is."""
        self._change(lambda rows: rows.put_identity(values))


def _tag(rows: Rows, kind: str, name: str, tags: Mapping[str, str | None]) -> None:
    rows.tag(kind, name, tags)
    found = rows.described(kind, name)
    if found is not None and len(found.tags) > MAX_TAGS:
        raise LimitExceeded(f"{kind} {name!r} would have {len(found.tags)} tags; {MAX_TAGS}")


def _check_queue_settings(
    rows: Rows, name: str, settings: QueueSettings, before: QueueSettings = DEFAULT_SETTINGS
) -> None:
    target = settings.dead_letter_queue
    # One that was named before may have been deleted since: other settings can change still.
    if target is not None and target != before.dead_letter_queue:
        if target == name:
            check_target(name, target, None)
        check_target(name, target, find_queue(rows, target).settings.redrive_sources)
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
