"""The broker verbs that take messages in: publish and send."""

from collections.abc import Sequence

from taskflow.broker.settings import Published, Sent
from taskflow.brokers.stored.core import Core
from taskflow.brokers.stored.fanout import Wanted, has_filters, is_plain
from taskflow.brokers.stored.intake import Intake, are_bare
from taskflow.brokers.stored.joiner import Joiner
from taskflow.brokers.stored.lookup import find_queue
from taskflow.limits import is_fifo
from taskflow.message import Message
from taskflow.stores.plain import PlainWay
from taskflow.stores.row import QueueRow, Target
from taskflow.stores.rows import Rows

_NO_FILTERS = Wanted((), ())


class _Reach:
    """What is known of a topic as long as its subscriptions stay as they are."""

    def __init__(self, topic: str, targets: list[Target]) -> None:
        self.targets = targets
        self.filtered = has_filters(targets)
        self.alone: QueueRow | None = None
        """The one queue that gets what has one body and no subject just as it is."""
        if len(targets) == 1 and not is_fifo(topic) and is_plain(targets[0], topic):
            self.alone = targets[0].queue


class Publisher:
    """Thread-safe. What is answered is as safe as the store's durability says.

    A publish to one queue that takes it as it is goes a shorter way, which stores the same.
    """

    def __init__(self, core: Core, intake: Intake, joiner: Joiner, plain: PlainWay | None) -> None:
        self.plain = plain
        """For what is nothing but a payload."""
        self._core = core
        self._intake = intake
        self._joiner = joiner
        self._reached: dict[str, _Reach] = {}

    def publish(
        self,
        topic: str,
        messages: Sequence[Message],
        *,
        connection: object = None,
        hold_group: bool = False,
    ) -> Published:
        """Store messages in every queue that subscribes to a topic."""
        if connection is not None:
            return self._joiner.publish(topic, messages, connection, hold_group)
        # Filters are asked outside of the transaction; when the subscriptions have changed by then,
        # or nobody knew that there are filters, once more.
        reach = self._reached.get(topic)
        wanted = _NO_FILTERS
        if reach is not None and reach.filtered:
            wanted = Wanted(reach.targets, messages)

        def store(rows: Rows) -> tuple[list[Target], list[Sent] | None]:
            targets = rows.subscribed(topic)
            if reach is not None and reach.targets is targets:
                if reach.alone is not None and are_bare(messages):
                    now = self._core.now()
                    return targets, self._intake.add(rows, reach.alone, topic, messages, now)
            elif has_filters(targets):
                return targets, None
            now = self._core.now()
            return targets, self._intake.publish(rows, topic, targets, messages, wanted, now)

        def announce(stored: tuple[list[Target], list[Sent] | None]) -> None:
            if stored[1] is not None:
                self._core.waiters.announce([target.queue.name for target in stored[0]])

        # What goes to standard queues is stored by one verb, which is all or nothing by itself.
        run = self._core.store.transact if is_fifo(topic) else self._core.store.single
        while True:
            targets, sent = run(store, durable=True, committed=announce)
            if reach is None or targets is not reach.targets:
                reach = self._reached[topic] = _Reach(topic, targets)
                if self.plain is not None:
                    self.plain.learn(topic, reach.alone)
            if sent is not None:
                return Published(len(targets), sent)
            wanted = Wanted(targets, messages)

    def send(
        self,
        queue: str,
        messages: Sequence[Message],
        *,
        connection: object = None,
        hold_group: bool = False,
    ) -> list[Sent]:
        """Store messages in one queue."""
        if connection is not None:
            return self._joiner.send(queue, messages, connection, hold_group)

        def store(rows: Rows) -> list[Sent]:
            now = self._core.now()
            return self._intake.add(rows, find_queue(rows, queue), "", messages, now)

        run = self._core.store.transact if is_fifo(queue) else self._core.store.single
        return run(store, durable=True, committed=lambda _: self._core.waiters.announce([queue]))
