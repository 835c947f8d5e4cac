"""The broker verbs that declare: topics, queues, subscriptions."""

from dataclasses import fields

from taskflow.broker import QueueSettings
from taskflow.errors import LimitExceeded, QueueExists, QueueNotFound, TopicNotFound
from taskflow.limits import check_queue, check_topic
from taskflow.stores.base import QueueRow, Rows, Store

DEFAULT_SETTINGS = QueueSettings()


class Declarations:
    """A part of EmbeddedBroker; `taskflow.broker.Broker` is the contract."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create_topic(self, name: str) -> None:
        check_topic(name)
        with self._store.read() as rows:
            if name in rows.topics():
                return
        with self._store.write() as rows:
            rows.add_topic(name)
        self._store.sync()

    def create_queue(self, name: str, settings: QueueSettings = DEFAULT_SETTINGS) -> None:
        check_queue(name)
        with self._store.read() as rows:
            if self._agrees(rows, name, settings):
                return
        with self._store.write() as rows:
            if not self._agrees(rows, name, settings):
                self._check_dead_letter_queue(rows, name, settings)
                rows.put_queue(name, settings)
        self._store.sync()

    def set_queue(self, name: str, settings: QueueSettings) -> None:
        with self._store.write() as rows:
            find_queue(rows, name)
            self._check_dead_letter_queue(rows, name, settings)
            rows.put_queue(name, settings)
        self._store.sync()

    @staticmethod
    def _agrees(rows: Rows, name: str, settings: QueueSettings) -> bool:
        """False when there is no such queue; raises when it differs."""
        found = rows.queue(name)
        if found is None:
            return False
        if found.settings != settings:
            differences = "; ".join(
                f"{field.name} is {getattr(found.settings, field.name)}, "
                f"declared as {getattr(settings, field.name)}"
                for field in fields(settings)
                if getattr(found.settings, field.name) != getattr(settings, field.name)
            )
            raise QueueExists(f"queue {name!r} exists with other attributes: {differences}")
        return True

    @staticmethod
    def _check_dead_letter_queue(rows: Rows, name: str, settings: QueueSettings) -> None:
        target = settings.dead_letter_queue
        if target == name:
            raise LimitExceeded(f"queue {name!r} cannot be its own dead-letter queue")
        if target is not None:
            find_queue(rows, target)

    def subscribe(self, topic: str, queue: str) -> None:
        with self._store.read() as rows:
            if (topic, queue) in rows.subscriptions():
                return
        with self._store.write() as rows:
            if topic not in rows.topics():
                raise TopicNotFound(topic, rows.topics())
            rows.add_subscription(topic, find_queue(rows, queue).id)
        self._store.sync()

    def topics(self) -> list[str]:
        with self._store.read() as rows:
            return rows.topics()

    def queues(self) -> list[str]:
        with self._store.read() as rows:
            return rows.queues()

    def subscriptions(self) -> list[tuple[str, str]]:
        with self._store.read() as rows:
            return rows.subscriptions()

    def settings(self, queue: str) -> QueueSettings:
        with self._store.read() as rows:
            return find_queue(rows, queue).settings


def find_queue(rows: Rows, name: str) -> QueueRow:
    """The row of a queue. Raises QueueNotFound."""
    found = rows.queue(name)
    if found is None:
        raise QueueNotFound(name, rows.queues())
    return found
