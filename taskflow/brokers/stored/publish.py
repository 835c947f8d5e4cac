"""The broker verbs that take messages in: publish and send."""

from collections.abc import Sequence

from taskflow.broker.settings import Published, Sent
from taskflow.brokers.stored.core import Core
from taskflow.brokers.stored.fanout import Wanted, has_filters
from taskflow.brokers.stored.intake import Intake
from taskflow.brokers.stored.lookup import find_queue
from taskflow.message import Message
from taskflow.stores.base import Rows, Target

_NO_FILTERS = Wanted((), ())


class Publisher:
    """Thread-safe. What is answered is as safe as the store's durability says."""

    def __init__(self, core: Core, intake: Intake) -> None:
        self._core = core
        self._intake = intake
        self._filtered: dict[str, list[Target]] = {}  # topics with filters, as last seen

    def publish(self, topic: str, messages: Sequence[Message]) -> Published:
        """Store messages in every queue that subscribes to a topic."""
        # Filters are asked outside of the transaction; when the subscriptions have changed by then,
        # or nobody knew that there are filters, once more.
        known = self._filtered.get(topic)
        wanted = Wanted(known, messages) if known else _NO_FILTERS

        def store(rows: Rows) -> tuple[list[Target], list[Sent] | None]:
            targets = rows.subscribed(topic)
            if targets is not wanted.targets and has_filters(targets):
                return targets, None
            now = self._core.now()
            return targets, self._intake.publish(rows, topic, targets, messages, wanted, now)

        def announce(stored: tuple[list[Target], list[Sent] | None]) -> None:
            if stored[1] is not None:
                self._core.waiters.announce([target.queue.name for target in stored[0]])

        while True:
            targets, sent = self._core.store.transact(store, durable=True, committed=announce)
            if sent is not None:
                return Published(len(targets), sent)
            self._filtered[topic] = targets
            wanted = Wanted(targets, messages)

    def send(self, queue: str, messages: Sequence[Message]) -> list[Sent]:
        """Store messages in one queue."""

        def store(rows: Rows) -> list[Sent]:
            now = self._core.now()
            return self._intake.add(rows, find_queue(rows, queue), "", messages, now)

        return self._core.store.transact(
            store, durable=True, committed=lambda _: self._core.waiters.announce([queue])
        )
