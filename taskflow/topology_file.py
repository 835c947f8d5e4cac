"""Topics, queues and subscriptions from a YAML file: `taskflow serve --init topology.yaml`."""

import json
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from taskflow.broker import QueueSettings
from taskflow.broker.admin import Admin
from taskflow.broker.settings import TopicSettings, TopicSubscription
from taskflow.errors import BrokerError, ConfigError, QueueExists, TopicExists
from taskflow.message import new_id


class _Subscription(msgspec.Struct, forbid_unknown_fields=True):
    topic: str
    queue: str
    raw: bool = True
    filter_policy: dict[str, Any] | None = None
    filter_scope: Literal["MessageAttributes", "MessageBody"] = "MessageAttributes"
    dead_letter_queue: str | None = None


class _Topology(msgspec.Struct, forbid_unknown_fields=True):
    topics: dict[str, dict[str, Any] | None] = {}
    queues: dict[str, dict[str, Any] | None] = {}
    subscriptions: list[_Subscription] = []


def declare_file(broker: Admin, path: Path) -> None:
    """Make the broker have what a file declares; what it has besides stays.

    The file has `topics` (name to `TopicSettings`), `queues` (name to `QueueSettings`) and
    `subscriptions` (topic, queue, raw, filter_policy, filter_scope, dead_letter_queue). What
    exists with other attributes is changed. Raises ConfigError, naming the file and the place.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
        wanted = msgspec.convert(found or {}, _Topology)
        topics = {
            name: _settings(TopicSettings, text, name) for name, text in wanted.topics.items()
        }
        queues = {
            name: _settings(QueueSettings, text, name) for name, text in wanted.queues.items()
        }
        _declare(broker, topics, queues, wanted.subscriptions)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: {error}") from error
    except (msgspec.ValidationError, BrokerError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _settings(kind: type[Any], given: dict[str, Any] | None, name: str) -> Any:
    given = given or {}
    known = kind.__dataclass_fields__
    for field in given:
        if field not in known:
            raise msgspec.ValidationError(
                f"{name} has an unknown attribute {field!r}; known: {', '.join(known)}"
            )
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise msgspec.ValidationError(f"{name}: {error}") from None


def _declare(
    broker: Admin,
    topics: dict[str, TopicSettings],
    queues: dict[str, QueueSettings],
    subscriptions: list[_Subscription],
) -> None:
    for name, topic in topics.items():
        try:
            broker.create_topic(name, topic)
        except TopicExists:
            broker.set_topic(name, topic)
    waiting = dict(queues)
    while waiting:  # a dead-letter queue must exist before the queue that names it
        ready = [
            name for name, queue in waiting.items() if queue.dead_letter_queue not in waiting
        ] or list(waiting)
        for name in ready:
            queue = waiting.pop(name)
            try:
                broker.create_queue(name, queue)
            except QueueExists:
                broker.set_queue(name, queue)
    for one in subscriptions:
        _subscribe(broker, one)


def _subscribe(broker: Admin, wanted: _Subscription) -> None:
    id = new_id(broker.clock.now(), broker.random)
    for found in broker.subscriptions(wanted.topic):
        if (found.protocol, found.endpoint) == ("sqs", wanted.queue):
            id = found.id
    broker.settings(wanted.queue)
    broker.put_subscription(
        TopicSubscription(
            id,
            wanted.topic,
            "sqs",
            wanted.queue,
            wanted.raw,
            None if wanted.filter_policy is None else json.dumps(wanted.filter_policy),
            wanted.filter_scope,
            wanted.dead_letter_queue,
        )
    )
