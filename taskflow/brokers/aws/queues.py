"""Queues: declaring them on SQS, their settings, times and tags.

Each verb looks first and changes only what is missing, so a worker whose topology is there already
needs no right to change it. Two that declare the same at once both succeed.
"""

from collections.abc import Mapping

from taskflow.broker.settings import Described, QueueSettings
from taskflow.brokers.aws.directory import Directory
from taskflow.brokers.aws.queue_attributes import (
    differences,
    for_creation,
    with_ours,
    write_queue,
)
from taskflow.brokers.aws.tags import change_tags
from taskflow.errors import LimitExceeded, QueueExists, QueueNotFound
from taskflow.limits import is_fifo

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
        texts = write_queue(name, settings, self._directory.queue_arn)
        attributes = for_creation(name, texts, settings.policy)
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

    def change(self, name: str, settings: QueueSettings) -> None:
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
