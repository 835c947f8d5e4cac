"""Queues: declaring them on SQS, their settings, times and tags.

Each verb looks first and changes only what is missing, so a worker whose topology is there already
needs no right to change it. Two that declare the same at once both succeed.
"""

from collections.abc import Mapping
from typing import Any

from taskflow.broker.settings import Described, QueueSettings
from taskflow.brokers.aws.directory import Directory
from taskflow.brokers.aws.tags import change_tags
from taskflow.errors import LimitExceeded, QueueExists, QueueNotFound
from taskflow.limits import MAX_RECEIVES, is_fifo
from taskflow.wire.differences import differences
from taskflow.wire.queue_attributes import MAX_DELAY, changed_queue, whole_seconds
from taskflow.wire.redrive import HEADROOM, check_target
from taskflow.wire.topic_grants import same_policy, with_ours

_DEFAULT = QueueSettings()


class Queues:
    """The queues of one account, region and prefix. Thread-safe. The contract of the verbs stands
    in `taskflow.broker.Broker`."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def create(self, name: str, settings: QueueSettings = _DEFAULT) -> None:
        wire = self._directory.wire_queue(name)
        if self._agrees(name, settings):
            return
        self._check_target(name, settings, _DEFAULT)
        _check(name, settings)
        attributes = changed_queue(name, settings, _DEFAULT, self._directory.queue_arn)
        if is_fifo(name):
            attributes["FifoQueue"] = "true"
        if settings.policy is not None:
            attributes["Policy"] = settings.policy
        try:
            self._directory.api.call(
                "sqs", "create_queue", name, QueueName=wire, Attributes=attributes
            )
        except LimitExceeded:  # somebody else made it meanwhile, with other attributes
            if not self._agrees(name, settings):
                raise
        self._directory.drop_settings(name)

    def _agrees(self, name: str, settings: QueueSettings) -> bool:
        """False when there is no such queue; raises when it differs."""
        try:
            url = self._directory.api.call(
                "sqs", "get_queue_url", name, QueueName=self._directory.wire_queue(name)
            )["QueueUrl"]
            self._directory.remember_url(name, url)
            found = self._directory.read_settings(name)
        except QueueNotFound:
            return False
        if what := differences(found, settings, same=_is_same):
            raise QueueExists(f"queue {name!r} exists with other attributes: {'; '.join(what)}")
        return True

    def _check_target(self, name: str, settings: QueueSettings, before: QueueSettings) -> None:
        """Raise unless the dead-letter queue is there, another, of one kind, and willing."""
        target = settings.dead_letter_queue
        if target == name:
            check_target(name, target, None)
        if target is not None and target != before.dead_letter_queue:
            check_target(name, target, self._directory.read_settings(target).redrive_sources)

    def change(self, name: str, settings: QueueSettings) -> None:
        before = self._directory.read_settings(name)
        self._check_target(name, settings, before)
        _check(name, settings)
        changed = changed_queue(name, settings, before, self._directory.queue_arn)
        if settings.policy != before.policy:
            present = self._directory.attributes(name, "Policy").get("Policy")
            changed["Policy"] = with_ours(settings.policy, present) or ""
        if changed:
            self._directory.on_queue(name, "set_queue_attributes", Attributes=changed)
        self._directory.drop_settings(name)

    def delete(self, name: str) -> None:
        self._directory.on_queue(name, "delete_queue")
        self._directory.forget(name)

    def names(self) -> list[str]:
        return self._directory.queues()

    def settings(self, queue: str) -> QueueSettings:
        return self._directory.read_settings(queue)

    # ---- times and tags ---------------------------------------------------------------------
    def describe(self, queue: str) -> Described:
        texts = self._directory.attributes(queue, "CreatedTimestamp", "LastModifiedTimestamp")
        return Described(
            float(texts.get("CreatedTimestamp", 0)),
            float(texts.get("LastModifiedTimestamp", 0)),
            self._tags(queue),
        )

    def _tags(self, queue: str) -> dict[str, str]:
        return dict(self._directory.on_queue(queue, "list_queue_tags").get("Tags") or {})

    def tag(self, queue: str, tags: Mapping[str, str | None]) -> None:
        def put(chosen: dict[str, str]) -> None:
            self._directory.on_queue(queue, "tag_queue", Tags=chosen)

        def drop(keys: list[str]) -> None:
            self._directory.on_queue(queue, "untag_queue", TagKeys=keys)

        change_tags(f"queue {queue!r}", self._tags(queue), tags, put, drop)


def _check(queue: str, settings: QueueSettings) -> None:
    """Raise LimitExceeded for what SQS does not have."""
    if settings.delay > MAX_DELAY:
        raise LimitExceeded(
            f"queue {queue!r}: delay is {settings.delay:g} s; SQS allows {MAX_DELAY}"
        )
    if is_fifo(queue):
        return
    if settings.content_based_deduplication or settings.deduplication_scope != "queue":
        raise LimitExceeded(f"queue {queue!r} is not FIFO: it deduplicates nothing")


def _is_same(name: str, found: Any, declared: Any) -> bool:
    """Whether an attribute on SQS is as good as the declared one."""
    match name:
        case "policy":
            return same_policy(found, declared)
        case "redrive_sources" if found and declared:
            return sorted(found) == sorted(declared)
        case "max_receives" if found and declared:
            most = MAX_RECEIVES - HEADROOM
            return bool(min(most, found) == min(most, declared))
        case _ if isinstance(declared, float):
            return bool(found == whole_seconds(declared))
    return bool(found == declared)
