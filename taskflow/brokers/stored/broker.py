"""SNS and SQS semantics, written once, over any store."""

from collections.abc import Callable, Collection, Iterable, Sequence
from random import Random
from typing import TypeVar

from taskflow import forking
from taskflow.broker.settings import Economy, Finish, Holding, Lease, Published, Sent
from taskflow.brokers.stored.coordination import Sharing
from taskflow.brokers.stored.declare import Declarations, find_queue
from taskflow.brokers.stored.fanout import Wanted, has_filters
from taskflow.brokers.stored.moves import Moves
from taskflow.brokers.stored.operate import Operations, bury
from taskflow.brokers.stored.publish import Intake
from taskflow.brokers.stored.receive import Lending
from taskflow.brokers.stored.waiters import Waiters
from taskflow.clock import Clock, SystemClock
from taskflow.errors import FileReplaced
from taskflow.limits import MAX_MESSAGE_BYTES, check_receive, check_seconds, is_fifo
from taskflow.message import Delivery, Message
from taskflow.stores.base import ANY, Held, QueueRow, Rows, Store, Target

_STALE = Held(-1, -1)
_NO_FILTERS = Wanted((), ())
_T = TypeVar("_T")


class EmbeddedBroker(Declarations, Operations, Moves, Sharing):
    """The broker inside the process, over a store. The contract is `taskflow.broker.Broker`."""

    def __init__(
        self, store: Store, *, clock: Clock | None = None, random: Random | None = None
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.random: Random = random or forking.RANDOM
        self.economy = Economy()
        self.max_message_bytes = MAX_MESSAGE_BYTES
        self._store = store
        self._waiters = Waiters(store, self.clock)
        self._intake = Intake()
        self._lending = Lending(self.random)
        self._filtered: dict[str, list[Target]] = {}  # topics with filters, as last seen
        forking.tell(self)

    def before_fork(self) -> None:
        """The store looks after itself."""

    def after_fork(self, child: bool) -> None:
        if child:  # nobody is parked here, and a thread that is not here may hold its lock
            self._waiters = Waiters(self._store, self.clock)

    # ---- send -------------------------------------------------------------------------------
    def publish(self, topic: str, messages: Sequence[Message]) -> Published:
        try:
            return self._publish(topic, messages)
        except FileReplaced:  # nobody was answered: into the new file with them
            return self._publish(topic, messages)

    def _publish(self, topic: str, messages: Sequence[Message]) -> Published:
        # Filters are asked outside of the transaction; when the subscriptions have changed by then,
        # or nobody knew that there are filters, once more.
        known = self._filtered.get(topic)
        wanted = Wanted(known, messages) if known else _NO_FILTERS
        sent: list[Sent] | None = None
        while sent is None:
            with self._store.write() as rows:
                now = self.clock.now()
                targets = rows.subscribed(topic)
                if targets is wanted.targets or not has_filters(targets):
                    sent = self._intake.publish(rows, topic, targets, messages, wanted, now)
            if sent is None:
                self._filtered[topic] = targets
                wanted = Wanted(targets, messages)
        self._waiters.announce([target.queue.name for target in targets])
        self._store.sync()
        return Published(len(targets), sent)

    def send(self, queue: str, messages: Sequence[Message]) -> list[Sent]:
        try:
            return self._send(queue, messages)
        except FileReplaced:
            return self._send(queue, messages)

    def _send(self, queue: str, messages: Sequence[Message]) -> list[Sent]:
        with self._store.write() as rows:
            sent = self._intake.add(rows, find_queue(rows, queue), "", messages, self.clock.now())
        self._waiters.announce([queue])
        self._store.sync()
        return sent

    # ---- receive ----------------------------------------------------------------------------
    def receive(
        self,
        *queues: str,
        limit: int = 1,
        wait: float = 0.0,
        visibility: float | None = None,
        stop: Callable[[], bool] | None = None,
        attempt: str | None = None,
        holding: Holding | None = None,
    ) -> list[Delivery]:
        check_receive(queues, limit, wait, visibility)
        deadline = self.clock.now() + wait
        if wait:
            self._waiters.listen()
        while True:
            rung = self._waiters.rung(queues)
            if taken := self._take(queues, limit, visibility, attempt, holding):
                return taken
            until = deadline
            if wait and (due := self.next_due(*queues)) is not None:
                until = min(until, due)
            self._store.check()
            if self.clock.now() >= deadline or not self._waiters.park(queues, rung, until, stop):
                return []

    def _take(
        self,
        queues: Sequence[str],
        limit: int,
        visibility: float | None,
        attempt: str | None,
        holding: Holding | None,
    ) -> list[Delivery]:
        if attempt is None:  # an empty look costs no lock
            now = self.clock.now()
            with self._store.read() as rows:
                found = [find_queue(rows, name) for name in queues]
                found = [row for row in found if not row.paused and rows.any_due(row, now)]
            if not found:
                return []
        taken: list[Delivery] = []
        woken: set[str] = set()
        with self._store.write() as rows:
            now = self.clock.now()
            if attempt is not None:
                found = [find_queue(rows, name) for name in queues]
                found = [row for row in found if not row.paused]
            for queue in found:
                if len(taken) >= limit or (taken and taken[-1].suspect):
                    break
                taken += self._lending.lend(
                    rows, queue, limit - len(taken), visibility, now, attempt, woken, holding
                )
                if holding is not None and taken:  # no suspect comes along with others
                    holding = Holding(len(taken), 1)
        if woken:
            self._waiters.announce(woken)
        return taken

    # ---- settle -----------------------------------------------------------------------------
    def delete(self, entries: Sequence[Finish], older: bool = False) -> list[bool]:
        def delete(rows: Rows, queue: QueueRow, chosen: Sequence[Finish], now: float) -> list[bool]:
            fenced = queue.fifo or not older
            held = [_held(entry.delivery, fenced) for entry in chosen]
            gone = rows.remove(queue.id, held, now if queue.fifo else None)
            keys = [
                (entry.delivery.id, entry.delivery.topic, now + entry.remember)
                for entry, ok in zip(chosen, gone, strict=True)
                if ok and entry.remember
            ]
            if keys:
                rows.remember(queue.id, keys, now)
            rows.tally(queue.id, sum(gone), 0)
            return gone

        answers = self._settle(entries, lambda entry: entry.delivery.queue, delete)
        # What was acknowledged may have kept back the rest of its group.
        self._waiters.announce(
            {entry.delivery.queue for entry in entries if is_fifo(entry.delivery.queue)}
        )
        return answers

    def leases(self, deliveries: Sequence[Delivery]) -> list[Lease]:
        now = self.clock.now()
        with self._store.read() as rows:
            return [
                rows.leases(find_queue(rows, one.queue).id, [_held(one)], now)[0]
                for one in deliveries
            ]

    def change_visibility(
        self, entries: Iterable[tuple[Delivery, float]], older: bool = False
    ) -> list[bool]:
        return self._hide(list(entries), spoken=True, older=older)

    def _hide(
        self, wanted: Sequence[tuple[Delivery, float]], spoken: bool, older: bool = False
    ) -> list[bool]:
        for _, seconds in wanted:
            check_seconds("visibility", seconds, 0, float("inf"))

        def hide(
            rows: Rows, queue: QueueRow, chosen: Sequence[tuple[Delivery, float]], now: float
        ) -> list[bool]:
            fenced = queue.fifo or not older
            return rows.hide(
                queue.id,
                [(_held(delivery, fenced), now + seconds) for delivery, seconds in chosen],
                now,
                spoken,
            )

        answers = self._settle(wanted, lambda entry: entry[0].queue, hide)
        now = self.clock.now()
        for (delivery, seconds), ok in zip(wanted, answers, strict=True):
            if ok:
                delivery.visible_at = now + seconds
        # Parked receivers reckoned with the old time.
        self._waiters.announce({delivery.queue for delivery, _ in wanted})
        return answers

    def extend(self, entries: Sequence[tuple[Delivery, float]]) -> list[bool]:
        return self._hide(entries, spoken=False)

    def give_back(self, deliveries: Sequence[Delivery]) -> list[bool]:
        def release(
            rows: Rows, queue: QueueRow, chosen: Sequence[Delivery], now: float
        ) -> list[bool]:
            return rows.release(queue.id, [_held(delivery) for delivery in chosen], now)

        answers = self._settle(deliveries, lambda delivery: delivery.queue, release)
        self._waiters.announce({delivery.queue for delivery in deliveries})
        return answers

    def dead_letter(self, entries: Sequence[tuple[Delivery, str]]) -> list[bool]:
        woken: set[str] = set()

        def move(
            rows: Rows, queue: QueueRow, chosen: Sequence[tuple[Delivery, str]], now: float
        ) -> list[bool]:
            found = rows.find(queue.id, [_held(delivery) for delivery, _ in chosen])
            failed = [
                (row, failure)
                for row, (_, failure) in zip(found, chosen, strict=True)
                if row is not None
            ]
            woken.update(bury(rows, queue, failed, now))
            return [row is not None for row in found]

        answers = self._settle(entries, lambda entry: entry[0].queue, move)
        self._waiters.announce(woken)
        return answers

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

    def wake(self) -> None:
        self._waiters.wake()

    def watch(self, heard: Callable[[Collection[str]], None]) -> None:
        self._waiters.watch(heard)

    def close(self) -> None:
        self._store.close()


def _held(delivery: Delivery, fenced: bool = True) -> Held:
    """What a receipt says; a malformed one holds nothing. Not fenced, it stands for every receipt
    of its message."""
    seq, _, receipt = delivery.receipt.partition(".")
    try:
        held = Held(int(seq), int(receipt))
    except ValueError:
        return _STALE
    if held.receipt < 0:
        return _STALE
    return held if fenced else Held(held.seq, ANY)
