"""What the subscriptions need of a broker: topics, queues, dead-letter queues. Idempotent."""

from dataclasses import replace

from taskflow.broker import Broker, QueueSettings
from taskflow.errors import QueueExists
from taskflow.limits import MAX_RECEIVES, MAX_RETENTION, dlq_of
from taskflow.registry import Registry

DEAD_LETTERS = QueueSettings(retention=MAX_RETENTION)


def settings_for(registry: Registry, queue: str) -> QueueSettings:
    """The attributes a queue needs for its handlers.

    `max_receives` is the net under `retries`: it catches messages that kill their worker.
    """
    handlers = registry.on(queue)
    return replace(
        QueueSettings(),
        visibility_timeout=handlers[0].visibility_timeout,
        dead_letter_queue=dlq_of(queue),
        max_receives=min(MAX_RECEIVES, max(found.max_attempts for found in handlers)),
    )


def declare(broker: Broker, registry: Registry, *, apply: bool = False) -> None:
    """Create what is missing. Safe to call from many workers at once.

    A queue that exists with other attributes raises QueueExists, or, with `apply`, is changed.
    """
    for topic in registry.topics():
        broker.create_topic(topic)
    known = set(broker.queues())
    for queue in registry.queues():
        settings = settings_for(registry, queue)
        broker.create_queue(dlq_of(queue), DEAD_LETTERS)
        if apply and queue in known:
            broker.set_queue(queue, settings)
            continue
        try:
            broker.create_queue(queue, settings)
        except QueueExists as error:
            raise QueueExists(f"{error}; `taskflow topology apply` changes it") from error
    for subscription in registry:
        broker.subscribe(subscription.topic, subscription.queue)
