"""Topics: declaring them on SNS, their settings and tags.

Each verb looks first and changes only what is missing, as those of queues do.
"""

from collections.abc import Mapping
from typing import Any

from taskflow.broker.settings import Described, TopicSettings
from taskflow.brokers.aws.directory import Directory
from taskflow.brokers.aws.reach import Reach
from taskflow.brokers.aws.subscriptions import Subscriptions
from taskflow.brokers.aws.tags import change_tags
from taskflow.errors import LimitExceeded, TopicExists, TopicNotFound
from taskflow.limits import is_fifo
from taskflow.wire.differences import differences
from taskflow.wire.topic_attributes import changed_topic, read_topic
from taskflow.wire.topic_grants import same_policy

_DEFAULT = TopicSettings()


class Topics:
    """The topics of one account, region and prefix. Thread-safe. The contract of the verbs stands
    in `taskflow.broker.Broker`."""

    def __init__(self, directory: Directory, subscriptions: Subscriptions, reach: Reach) -> None:
        self._directory = directory
        self._subscriptions = subscriptions
        self._reach = reach

    def create(self, name: str, settings: TopicSettings = _DEFAULT) -> None:
        if self._agrees(name, settings):
            return
        attributes = changed_topic(name, settings, _DEFAULT)
        if is_fifo(name):
            attributes["FifoTopic"] = "true"
        api, wire = self._directory.api, self._directory.wire_topic(name)
        try:
            api.call("sns", "create_topic", name, Name=wire, Attributes=attributes)
        except LimitExceeded:  # somebody else made it meanwhile, with other attributes
            if not self._agrees(name, settings):
                raise

    def _agrees(self, name: str, settings: TopicSettings) -> bool:
        """False when there is no such topic; raises when it differs."""
        _check(name, settings)
        arn = self._directory.topic_arn(name)
        try:
            answer = self._directory.api.call("sns", "get_topic_attributes", name, TopicArn=arn)
        except TopicNotFound:
            return False
        found = read_topic(name, answer["Attributes"])
        if what := differences(found, settings, same=_is_same):
            raise TopicExists(f"topic {name!r} exists with other attributes: {'; '.join(what)}")
        return True

    def change(self, name: str, settings: TopicSettings) -> None:
        _check(name, settings)
        changed = changed_topic(name, settings, self.settings(name))
        for attribute, text in changed.items():
            self._directory.on_topic(
                name, "set_topic_attributes", AttributeName=attribute, AttributeValue=text
            )

    def delete(self, name: str) -> None:
        arn = self._directory.topic_arn(name)
        try:
            self._subscriptions.remove_all(name)
            self._directory.api.call("sns", "delete_topic", name, TopicArn=arn)
        except TopicNotFound:
            pass
        self._reach.forget(name)

    def names(self) -> list[str]:
        return self._directory.topics()

    def settings(self, topic: str) -> TopicSettings:
        return self._directory.read_topic_settings(topic)

    # ---- times and tags ---------------------------------------------------------------------
    def describe(self, topic: str) -> Described:
        """SNS does not say when: both times are 0."""
        self.settings(topic)
        return Described(0.0, 0.0, self._tags(topic))

    def _tags(self, topic: str) -> dict[str, str]:
        arn = self._directory.topic_arn(topic)
        answer = self._directory.api.call("sns", "list_tags_for_resource", topic, ResourceArn=arn)
        return {tag["Key"]: tag["Value"] for tag in answer.get("Tags") or ()}

    def tag(self, topic: str, tags: Mapping[str, str | None]) -> None:
        self.settings(topic)
        arn, api = self._directory.topic_arn(topic), self._directory.api

        def put(chosen: dict[str, str]) -> None:
            pairs = [{"Key": key, "Value": text} for key, text in chosen.items()]
            api.call("sns", "tag_resource", topic, ResourceArn=arn, Tags=pairs)

        def drop(keys: list[str]) -> None:
            api.call("sns", "untag_resource", topic, ResourceArn=arn, TagKeys=keys)

        change_tags(f"topic {topic!r}", self._tags(topic), tags, put, drop)


def _check(topic: str, settings: TopicSettings) -> None:
    """Raise LimitExceeded for what SNS does not have."""
    if is_fifo(topic):
        return
    if settings.content_based_deduplication or settings.deduplication_scope != "topic":
        raise LimitExceeded(f"topic {topic!r} is not FIFO: it deduplicates nothing")


def _is_same(name: str, found: Any, declared: Any) -> bool:
    return same_policy(found, declared) if name == "policy" else bool(found == declared)
