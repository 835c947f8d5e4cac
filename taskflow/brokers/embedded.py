"""SNS and SQS semantics, written once, over any store."""

from collections.abc import Callable, Collection, Iterable, Sequence
from random import Random
from typing import TypeVar

from taskflow.broker import Finish
from taskflow.brokers.declarations import Declarations, find_queue
from taskflow.brokers.operations import Operations, bury, read_attributes, worn_out
from taskflow.brokers.parking import Parking
from taskflow.brokers.sharing import Sharing
from taskflow.clock import Clock, SystemClock
from taskflow.errors import LimitExceeded, TopicNotFound
from taskflow.limits import MAX_VISIBILITY, check_seconds
from taskflow.message import NO_ATTRIBUTES, Delivery, Message
from taskflow.stores.base import Held, QueueRow, Row, Rows, Store

HOUSEKEEPING = 64  # sends between two looks for messages past their retention
_STALE = Held(-1, -1)
_T = TypeVar("_T")


class EmbeddedBroker(Declarations, Operations, Sharing):
    """The broker inside the process, over a store. The contract is `taskflow.broker.Broker`."""

    def __init__(
        self, store: Store, *, clock: Clock | None = None, random: Random | None = None
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.random: Random = random or Random()
        super().__init__(store)
        self._parking = Parking(store, self.clock)
        self._sends = 0

    # ---- send -------------------------------------------------------------------------------
    def publish(self, topic: str, messages: Sequence[Message]) -> int:
        with self._store.write() as rows:
            queues = rows.subscribed(topic)
            if not queues and topic not in rows.topics():
                raise TopicNotFound(topic, rows.topics())
            self._add(rows, queues, topic, messages)
        self._parking.announce([queue.name for queue in queues])
        self._store.sync()
        return len(queues)

    def send(self, queue: str, messages: Sequence[Message]) -> None:
        with self._store.write() as rows:
            self._add(rows, [find_queue(rows, queue)], "", messages)
        self._parking.announce([queue])
        self._store.sync()

    def _add(
        self, rows: Rows, queues: list[QueueRow], topic: str, messages: Sequence[Message]
    ) -> None:
        now = self.clock.now()
        for queue in queues:
            for message in messages:
                if message.delay >= queue.settings.retention:
                    raise LimitExceeded(
                        f"a delay of {message.delay:g} s passes the retention of queue "
                        f"{queue.name!r} ({queue.settings.retention:g} s): it would never be due"
                    )
            rows.add(queue, topic, messages, now)
        self._sends += 1
        if self._sends % HOUSEKEEPING == 0:  # queues that nobody receives from must end too
            for queue in queues:
                rows.expire(queue.id, now - queue.settings.retention)

    # ---- receive ----------------------------------------------------------------------------
    def receive(
        self,
        *queues: str,
        limit: int = 1,
        wait: float = 0.0,
        visibility: float | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> list[Delivery]:
        if not queues:
            raise LimitExceeded("receive names no queue; it needs one at least")
        if limit < 1:
            raise LimitExceeded(f"limit is {limit}; 1 or more is allowed")
        check_seconds("wait", wait, 0, float("inf"))
        if visibility is not None:
            check_seconds("visibility", visibility, 0, MAX_VISIBILITY)
        deadline = self.clock.now() + wait
        if wait:
            self._parking.listen()
        while True:
            rung = self._parking.rung(queues)
            if taken := self._take(queues, limit, visibility):
                return taken
            until = deadline
            if wait and (due := self.next_due(*queues)) is not None:
                until = min(until, due)
            if self.clock.now() >= deadline or not self._parking.park(queues, rung, until, stop):
                return []

    def _take(self, queues: Sequence[str], limit: int, visibility: float | None) -> list[Delivery]:
        now = self.clock.now()
        with self._store.read() as rows:  # an empty look costs no lock
            found = [find_queue(rows, name) for name in queues]
            found = [row for row in found if not row.paused and rows.any_due(row.id, now)]
        if not found:
            return []
        taken: list[Delivery] = []
        with self._store.write() as rows:
            now = self.clock.now()
            for queue in found:
                if len(taken) < limit:
                    taken += self._claim(rows, queue, limit - len(taken), visibility, now)
        return taken

    def _claim(
        self, rows: Rows, queue: QueueRow, limit: int, visibility: float | None, now: float
    ) -> list[Delivery]:
        """Take due rows; what is too old is dropped, what was received too often is moved."""
        settings = queue.settings
        until = now + (settings.visibility_timeout if visibility is None else visibility)
        receipt = self.random.getrandbits(62)
        taken: list[Row] = []
        while len(taken) < limit:
            due = rows.due(queue.id, now, limit - len(taken))
            expired = [row for row in due if row.sent_at + settings.retention <= now]
            rest = [row for row in due if row.sent_at + settings.retention > now]
            worn = [
                row
                for row in rest
                if settings.max_receives is not None and row.receive_count >= settings.max_receives
            ]
            if expired:
                rows.drop(queue.id, [row.seq for row in expired])
            if worn:
                bury(rows, queue, [(row, worn_out(queue, row, now)) for row in worn], now)
                rest = [row for row in rest if row not in worn]
            if rest:
                rows.hold(queue.id, [row.seq for row in rest], receipt, until, now)
                taken += rest
            if not expired and not worn:
                break
        return [
            Delivery(
                row.id,
                row.topic,
                row.body,
                read_attributes(row.attributes) if row.attributes != "{}" else NO_ATTRIBUTES,
                queue.name,
                f"{row.seq}.{receipt}",
                row.receive_count + 1,
                row.sent_at,
                now if row.first_received_at is None else row.first_received_at,
                until,
            )
            for row in taken
        ]

    # ---- settle -----------------------------------------------------------------------------
    def delete(self, entries: Sequence[Finish]) -> list[bool]:
        def delete(rows: Rows, queue: QueueRow, chosen: Sequence[Finish], now: float) -> list[bool]:
            gone = rows.remove(queue.id, [_held(entry.delivery) for entry in chosen])
            keys = [
                (entry.delivery.id, entry.delivery.topic, now + entry.remember)
                for entry, ok in zip(chosen, gone, strict=True)
                if ok and entry.remember
            ]
            if keys:
                rows.remember(queue.id, keys, now)
            rows.tally(queue.id, sum(gone), 0)
            return gone

        return self._settle(entries, lambda entry: entry.delivery.queue, delete)

    def change_visibility(self, entries: Iterable[tuple[Delivery, float]]) -> list[bool]:
        wanted = list(entries)
        for _, seconds in wanted:
            check_seconds("visibility", seconds, 0, float("inf"))

        def hide(
            rows: Rows, queue: QueueRow, chosen: Sequence[tuple[Delivery, float]], now: float
        ) -> list[bool]:
            return rows.hide(
                queue.id,
                [(_held(delivery), now + seconds) for delivery, seconds in chosen],
                now,
            )

        answers = self._settle(wanted, lambda entry: entry[0].queue, hide)
        now = self.clock.now()
        for (delivery, seconds), ok in zip(wanted, answers, strict=True):
            if ok:
                delivery.visible_at = now + seconds
        # Parked receivers reckoned with the old time.
        self._parking.announce({delivery.queue for delivery, _ in wanted})
        return answers

    def give_back(self, deliveries: Sequence[Delivery]) -> list[bool]:
        def release(
            rows: Rows, queue: QueueRow, chosen: Sequence[Delivery], now: float
        ) -> list[bool]:
            return rows.release(queue.id, [_held(delivery) for delivery in chosen], now)

        answers = self._settle(deliveries, lambda delivery: delivery.queue, release)
        self._parking.announce({delivery.queue for delivery in deliveries})
        return answers

    def dead_letter(self, entries: Sequence[tuple[Delivery, str]]) -> list[bool]:
        def move(
            rows: Rows, queue: QueueRow, chosen: Sequence[tuple[Delivery, str]], now: float
        ) -> list[bool]:
            found = rows.find(queue.id, [_held(delivery) for delivery, _ in chosen])
            failed = [
                (row, failure)
                for row, (_, failure) in zip(found, chosen, strict=True)
                if row is not None
            ]
            bury(rows, queue, failed, now)
            return [row is not None for row in found]

        return self._settle(entries, lambda entry: entry[0].queue, move)

    def _settle(
        self,
        entries: Sequence[_T],
        queue_of: Callable[[_T], str],
        settle: Callable[[Rows, QueueRow, Sequence[_T], float], list[bool]],
    ) -> list[bool]:
        """One transaction, one call of `settle` per queue, answers in the order of entries."""
        by_queue: dict[str, list[int]] = {}
        for index, entry in enumerate(entries):
            by_queue.setdefault(queue_of(entry), []).append(index)
        answers = [False] * len(entries)
        if not by_queue:
            return answers
        with self._store.write() as rows:
            now = self.clock.now()
            for name, indexes in by_queue.items():
                chosen = [entries[index] for index in indexes]
                settled = settle(rows, find_queue(rows, name), chosen, now)
                for index, ok in zip(indexes, settled, strict=True):
                    answers[index] = ok
        return answers

    def finished(self, queue: str, keys: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        with self._store.read() as rows:
            return rows.remembered(find_queue(rows, queue).id, keys, self.clock.now())

    def wake(self) -> None:
        self._parking.wake()

    def close(self) -> None:
        self._store.close()


def _held(delivery: Delivery) -> Held:
    """What a receipt says; a malformed one holds nothing."""
    seq, _, receipt = delivery.receipt.partition(".")
    try:
        return Held(int(seq), int(receipt))
    except ValueError:
        return _STALE
