"""The broker verbs within a transaction of the caller's: they add, and do nothing else."""

from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from taskflow.broker.change import Applied, Change, Publish, Put
from taskflow.broker.settings import Published, Sent
from taskflow.brokers.stored.application import Application
from taskflow.brokers.stored.core import Core
from taskflow.brokers.stored.fanout import Wanted, has_filters
from taskflow.brokers.stored.intake import Intake
from taskflow.brokers.stored.lookup import find_queue
from taskflow.errors import BrokerError, BrokerUnavailable, ConfigError
from taskflow.limits import check_hold_group, check_no_connection, is_fifo
from taskflow.message import Message
from taskflow.stores.joinable import Joinable
from taskflow.stores.rows import Rows

T = TypeVar("T")


class Joiner:
    """Thread-safe, as far as the connection is. Filters are asked within the transaction, which
    keeps nobody waiting but its owner. What has several parts is undone by an error, and the
    transaction is as it was before."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._intake = Intake(tidy=False)

    def publish(
        self, topic: str, messages: Sequence[Message], connection: object, hold_group: bool
    ) -> Published:
        """As `Traffic.publish` with a connection."""
        store = self._store(connection)
        check_hold_group(topic, hold_group)

        def add(rows: Rows) -> tuple[Published, Collection[str]]:
            targets = rows.subscribed(topic)
            wanted = Wanted(targets, messages)
            now = self._core.now()
            sent = self._intake.publish(rows, topic, targets, messages, wanted, now)
            return Published(len(targets), sent), [target.queue.name for target in targets]

        return self._join(store, connection, _undoing(add) if is_fifo(topic) else add)

    def send(
        self, queue: str, messages: Sequence[Message], connection: object, hold_group: bool
    ) -> list[Sent]:
        """As `Traffic.send` with a connection."""
        store = self._store(connection)
        check_hold_group(queue, hold_group)

        def add(rows: Rows) -> tuple[list[Sent], Collection[str]]:
            found = find_queue(rows, queue)
            return self._intake.add(rows, found, "", messages, self._core.now()), [queue]

        return self._join(store, connection, _undoing(add) if is_fifo(queue) else add)

    def apply(
        self, changes: Sequence[Change], connection: object, hold_group: bool
    ) -> list[Applied]:
        """As `Traffic.apply` with a connection."""
        store = self._store(connection)
        for change in changes:
            _check_adds(change)
            for send in change.sends:
                name = send.topic if isinstance(send, Publish) else send.queue
                check_hold_group(name, hold_group)

        def add(rows: Rows) -> tuple[list[Applied], Collection[str]]:
            answers, rings = [], set[str]()
            for change in changes:
                one = self._application(rows, change)
                try:
                    answers.append(rows.undoing(one.make))
                except BrokerUnavailable:
                    raise
                except BrokerError as refused:
                    answers.append(Applied(refused=refused))
                else:
                    rings |= one.rings
            return answers, rings

        return self._join(store, connection, add)

    def _application(self, rows: Rows, change: Change) -> Application:
        wanted = {}
        for send in change.sends:
            if isinstance(send, Publish) and has_filters(targets := rows.subscribed(send.topic)):
                wanted[id(send)] = Wanted(targets, send.messages)
        core = self._core
        return Application(rows, change, self._intake, wanted, core.now(), core.fresh_version)

    def _store(self, connection: object) -> Joinable:
        store = self._core.store
        if not isinstance(store, Joinable):
            check_no_connection(connection, "a broker over SQLite")
            raise AssertionError("unreachable")
        return store

    def _join(
        self,
        store: Joinable,
        connection: object,
        add: Callable[[Rows], tuple[T, Collection[str]]],
    ) -> T:
        answer, _ = store.join(connection, add, lambda found: self._core.waiters.announce(found[1]))
        return answer


def _undoing(add: Callable[[Rows], T]) -> Callable[[Rows], T]:
    """What has several parts, all or nothing."""
    return lambda rows: rows.undoing(lambda: add(rows))


def _check_adds(change: Change) -> None:
    """Raise ConfigError for a change that does more than add."""
    more = [
        name
        for name in ("id", "fence", "keys", "counters", "settlements")
        if getattr(change, name) not in (None, (), [])
    ]
    if any(not isinstance(one, Put) or one.expected != 0 for one in change.records):
        more.append("records that are not new")
    if more:
        raise ConfigError(
            f"a change within a transaction of yours has {', '.join(more)}; it may only add "
            "(sends, publishes, records that are new): others would wait for its end"
        )
