"""The broker verbs that declare, over AWS: topics, queues, tags.

Each looks first and changes only what is missing, so a worker whose topology is there already needs
no right to change it. Two that declare the same at once both succeed.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from taskflow.broker.settings import Described, QueueSettings, TopicSettings
from taskflow.brokers.aws.queue_attributes import (
    differences,
    for_creation,
    with_ours,
    write_queue,
)
from taskflow.brokers.aws.subscribing import Subscribing
from taskflow.brokers.aws.topic_attributes import (
    changed_attributes,
    read_topic,
    topic_differences,
    write_topic,
)
from taskflow.errors import (
    LimitExceeded,
    QueueExists,
    QueueNotFound,
    TopicExists,
    TopicNotFound,
)
from taskflow.limits import MAX_TAGS, is_fifo

_DEFAULT_QUEUE = QueueSettings()
_DEFAULT_TOPIC = TopicSettings()


class Declaring(Subscribing):
    """A part of AwsBroker; `taskflow.broker.Broker` is the contract."""

    _declaring: threading.RLock

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Of this process: AWS has nothing that others would wait for, and nothing is undone."""
        with self._declaring:
            yield

    # ---- topics -----------------------------------------------------------------------------
    def create_topic(self, name: str, settings: TopicSettings = _DEFAULT_TOPIC) -> None:
        if self._topic_agrees(name, settings):
            return
        attributes = changed_attributes(name, settings, _DEFAULT_TOPIC)
        if is_fifo(name):
            attributes["FifoTopic"] = "true"
        api, wire = self._directory.api, self._directory.wire_topic(name)
        try:
            api.call("sns", "create_topic", name, Name=wire, Attributes=attributes)
        except LimitExceeded:  # somebody else made it meanwhile, with other attributes
            if not self._topic_agrees(name, settings):
                raise

    def _topic_agrees(self, name: str, settings: TopicSettings) -> bool:
        """False when there is no such topic; raises when it differs."""
        write_topic(name, settings)
        arn = self._directory.topic_arn(name)
        try:
            answer = self._directory.api.call("sns", "get_topic_attributes", name, TopicArn=arn)
        except TopicNotFound:
            return False
        if what := topic_differences(read_topic(name, answer["Attributes"]), settings):
            raise TopicExists(f"topic {name!r} exists with other attributes: {what}")
        return True

    def set_topic(self, name: str, settings: TopicSettings) -> None:
        changed = changed_attributes(name, settings, self.topic_settings(name))
        for attribute, text in changed.items():
            self._directory.on_topic(
                name, "set_topic_attributes", AttributeName=attribute, AttributeValue=text
            )

    def delete_topic(self, name: str) -> None:
        arn = self._directory.topic_arn(name)
        try:
            for one in self._listed(name):
                if ":" in one["SubscriptionArn"]:
                    self._directory.api.call(
                        "sns", "unsubscribe", name, SubscriptionArn=one["SubscriptionArn"]
                    )
            self._directory.api.call("sns", "delete_topic", name, TopicArn=arn)
        except TopicNotFound:
            pass
        self._reach.pop(name, None)

    def topics(self) -> list[str]:
        return self._directory.topics()

    def topic_settings(self, topic: str) -> TopicSettings:
        return self._directory.read_topic_settings(topic)

    # ---- queues -----------------------------------------------------------------------------
    def create_queue(self, name: str, settings: QueueSettings = _DEFAULT_QUEUE) -> None:
        wire = self._directory.wire_queue(name)
        if self._queue_agrees(name, settings):
            return
        self._check_target(name, settings, _DEFAULT_QUEUE)
        texts = write_queue(name, settings, self._directory.queue_arn)
        attributes = for_creation(name, texts, settings.policy)
        try:
            self._directory.api.call(
                "sqs", "create_queue", name, QueueName=wire, Attributes=attributes
            )
        except LimitExceeded:  # somebody else made it meanwhile, with other attributes
            if not self._queue_agrees(name, settings):
                raise
        self._directory.drop_settings(name)

    def _queue_agrees(self, name: str, settings: QueueSettings) -> bool:
        """False when there is no such queue; raises when it differs."""
        try:
            url = self._directory.api.call(
                "sqs", "get_queue_url", name, QueueName=self._directory.wire_queue(name)
            )["QueueUrl"]
            self._directory.remember_url(name, url)
            found = self._directory.read_settings(name)
        except QueueNotFound:
            return False
        if what := differences(found, settings):
            raise QueueExists(f"queue {name!r} exists with other attributes: {what}")
        return True

    def _check_target(self, name: str, settings: QueueSettings, before: QueueSettings) -> None:
        """Raise unless the dead-letter queue is there, another, of one kind, and willing."""
        target = settings.dead_letter_queue
        if target == name:
            raise LimitExceeded(f"queue {name!r} cannot be its own dead-letter queue")
        if target is None or target == before.dead_letter_queue:
            return
        allowed = self._directory.read_settings(target).redrive_sources
        if is_fifo(target) != is_fifo(name):
            raise LimitExceeded(
                f"the dead-letter queue of a FIFO queue is FIFO, of a standard queue standard; "
                f"{target!r} and {name!r} differ"
            )
        if allowed is not None and name not in allowed:
            raise LimitExceeded(
                f"queue {target!r} does not allow {name!r} to use it as its dead-letter queue"
            )

    def set_queue(self, name: str, settings: QueueSettings) -> None:
        before = self._directory.read_settings(name)
        self._check_target(name, settings, before)
        texts = write_queue(name, settings, self._directory.queue_arn)
        old = write_queue(name, before, self._directory.queue_arn)
        changed = {
            one: texts.get(one, "") for one in {**old, **texts} if texts.get(one) != old.get(one)
        }
        taken_back = before.others.keys() - settings.others.keys()
        if taken_back & {"KmsMasterKeyId", "SqsManagedSseEnabled"}:  # back to what SQS gives
            changed["SqsManagedSseEnabled"] = "true"
        if settings.policy != before.policy:
            present = self._directory.attributes(name, "Policy").get("Policy")
            changed["Policy"] = with_ours(settings.policy, present) or ""
        if changed:
            self._directory.on_queue(name, "set_queue_attributes", Attributes=changed)
        self._directory.drop_settings(name)

    def delete_queue(self, name: str) -> None:
        self._directory.on_queue(name, "delete_queue")
        self._directory.forget(name)

    def queues(self) -> list[str]:
        return self._directory.queues()

    def settings(self, queue: str) -> QueueSettings:
        return self._directory.read_settings(queue)

    # ---- times and tags ---------------------------------------------------------------------
    def describe_queue(self, queue: str) -> Described:
        texts = self._directory.attributes(queue, "CreatedTimestamp", "LastModifiedTimestamp")
        return Described(
            float(texts.get("CreatedTimestamp", 0)),
            float(texts.get("LastModifiedTimestamp", 0)),
            self._queue_tags(queue),
        )

    def _queue_tags(self, queue: str) -> dict[str, str]:
        return dict(self._directory.on_queue(queue, "list_queue_tags").get("Tags") or {})

    def describe_topic(self, topic: str) -> Described:
        """SNS does not say when: both times are 0."""
        self.topic_settings(topic)
        return Described(0.0, 0.0, self._topic_tags(topic))

    def _topic_tags(self, topic: str) -> dict[str, str]:
        arn = self._directory.topic_arn(topic)
        answer = self._directory.api.call("sns", "list_tags_for_resource", topic, ResourceArn=arn)
        return {tag["Key"]: tag["Value"] for tag in answer.get("Tags") or ()}

    def tag_queue(self, queue: str, tags: Mapping[str, str | None]) -> None:
        def put(chosen: dict[str, str]) -> None:
            self._directory.on_queue(queue, "tag_queue", Tags=chosen)

        def drop(keys: list[str]) -> None:
            self._directory.on_queue(queue, "untag_queue", TagKeys=keys)

        _tag(f"queue {queue!r}", self._queue_tags(queue), tags, put, drop)

    def tag_topic(self, topic: str, tags: Mapping[str, str | None]) -> None:
        self.topic_settings(topic)
        arn, api = self._directory.topic_arn(topic), self._directory.api

        def put(chosen: dict[str, str]) -> None:
            pairs = [{"Key": key, "Value": text} for key, text in chosen.items()]
            api.call("sns", "tag_resource", topic, ResourceArn=arn, Tags=pairs)

        def drop(keys: list[str]) -> None:
            api.call("sns", "untag_resource", topic, ResourceArn=arn, TagKeys=keys)

        _tag(f"topic {topic!r}", self._topic_tags(topic), tags, put, drop)


def _tag(
    what: str,
    present: dict[str, str],
    tags: Mapping[str, str | None],
    put: Callable[[dict[str, str]], None],
    drop: Callable[[list[str]], None],
) -> None:
    """Set and remove tags; refuse more than there may be before anything is changed."""
    chosen = {key: text for key, text in tags.items() if text is not None}
    gone = [key for key, text in tags.items() if text is None and key in present]
    count = len((present.keys() | chosen.keys()) - set(gone))
    if count > MAX_TAGS:
        raise LimitExceeded(f"{what} would have {count} tags; {MAX_TAGS}")
    if gone:
        drop(gone)
    if chosen:
        put(chosen)
