"""The broker verbs that settle what was received, and how each kind is done in a transaction."""

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import TypeVar

from taskflow.broker.settings import Finish, Lease
from taskflow.brokers.stored.core import Core
from taskflow.brokers.stored.letters import bury
from taskflow.brokers.stored.lookup import find_queue
from taskflow.brokers.stored.receipts import held
from taskflow.limits import check_seconds, is_fifo
from taskflow.message import Delivery
from taskflow.stores.row import QueueRow
from taskflow.stores.rows import Rows

_T = TypeVar("_T")


_queue_of_finish = attrgetter("delivery.queue")


class Settler:
    """Thread-safe. Each verb is one transaction, and answers entry by entry."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def delete(self, entries: Sequence[Finish], *, fence: bool = True) -> list[bool]:
        """Acknowledge."""

        def delete(rows: Rows, queue: QueueRow, chosen: Sequence[Finish], now: float) -> list[bool]:
            return finish(rows, queue, chosen, now, fenced=queue.fifo or fence)

        self._core.settle(entry.delivery for entry in entries)
        answers = self._settle(entries, _queue_of_finish, delete)
        slotted = [one.delivery.queue for one in entries if one.delivery.slot is not None]
        queues = {one.delivery.queue for one in entries}
        self._core.waiters.announce({*slotted, *filter(is_fifo, queues)})
        return answers

    def leases(self, deliveries: Sequence[Delivery]) -> list[Lease]:
        """How each receipt stands."""
        now = self._core.now()

        def look(rows: Rows) -> list[Lease]:
            return [
                rows.leases(find_queue(rows, one.queue).id, [held(one)], now)[0]
                for one in deliveries
            ]

        return self._core.store.look(look)

    def change_visibility(
        self, entries: Iterable[tuple[Delivery, float]], *, fence: bool = True
    ) -> list[bool]:
        """Hide messages anew: their holder is done with them for now."""
        return self._hide(list(entries), spoken=True, fence=fence)

    def extend(self, entries: Sequence[tuple[Delivery, float]]) -> list[bool]:
        """Keep leases."""
        return self._hide(entries, spoken=False)

    def _hide(
        self, wanted: Sequence[tuple[Delivery, float]], spoken: bool, fence: bool = True
    ) -> list[bool]:
        for _, seconds in wanted:
            check_seconds("visibility", seconds, 0, float("inf"))

        def hide(
            rows: Rows, queue: QueueRow, chosen: Sequence[tuple[Delivery, float]], now: float
        ) -> list[bool]:
            fenced = queue.fifo or fence
            entries = [(held(delivery, fenced), now + seconds) for delivery, seconds in chosen]
            hidden = rows.hide(queue.id, entries, now, spoken)
            if spoken:
                free_slots(rows, queue, [delivery for delivery, _ in chosen])
            return hidden

        self._core.settle(delivery for delivery, _ in wanted)
        answers = self._settle(wanted, lambda entry: entry[0].queue, hide)
        now = self._core.now()
        for (delivery, seconds), ok in zip(wanted, answers, strict=True):
            if ok:
                delivery.visible_at = now + seconds
        # Parked receivers reckoned with the old time.
        self._core.waiters.announce({delivery.queue for delivery, _ in wanted})
        return answers

    def give_back(self, deliveries: Sequence[Delivery]) -> list[bool]:
        """Make messages visible, as if they had not been received."""

        def release(
            rows: Rows, queue: QueueRow, chosen: Sequence[Delivery], now: float
        ) -> list[bool]:
            released = rows.release(queue.id, [held(delivery) for delivery in chosen], now)
            free_slots(rows, queue, chosen)
            return released

        self._core.settle(deliveries)
        answers = self._settle(deliveries, lambda delivery: delivery.queue, release)
        self._core.waiters.announce({delivery.queue for delivery in deliveries})
        return answers

    def dead_letter(self, entries: Sequence[tuple[Delivery, str]]) -> list[bool]:
        """Move messages to the DLQ of their queue."""
        woken: set[str] = set()

        def move(
            rows: Rows, queue: QueueRow, chosen: Sequence[tuple[Delivery, str]], now: float
        ) -> list[bool]:
            moved, rung = bury_held(rows, queue, chosen, now)
            woken.update(rung)
            return moved

        self._core.settle(delivery for delivery, _ in entries)
        answers = self._settle(entries, lambda entry: entry[0].queue, move, whole=True)
        self._core.waiters.announce(woken)
        return answers

    def _settle(
        self,
        entries: Sequence[_T],
        queue_of: Callable[[_T], str],
        settle: Callable[[Rows, QueueRow, Sequence[_T], float], list[bool]],
        whole: bool = False,
    ) -> list[bool]:
        """One call of `settle` per queue, answers in the order of entries. One transaction, if it
        is to be `whole`: of standard queues each step may stand for itself."""
        names = list(map(queue_of, entries))
        by_queue: dict[str, list[int]] = {name: [] for name in names}
        if not by_queue:
            return []
        if len(by_queue) > 1:
            for index, name in enumerate(names):
                by_queue[name].append(index)

        def work(rows: Rows) -> list[bool]:
            now = self._core.now()
            if len(by_queue) == 1:
                return settle(rows, find_queue(rows, names[0]), entries, now)
            answers = [False] * len(entries)
            for name, indexes in by_queue.items():
                chosen = [entries[index] for index in indexes]
                settled = settle(rows, find_queue(rows, name), chosen, now)
                for index, ok in zip(indexes, settled, strict=True):
                    answers[index] = ok
            return answers

        store = self._core.store
        return store.transact(work) if whole or any(map(is_fifo, by_queue)) else store.single(work)


def finish(
    rows: Rows,
    queue: QueueRow,
    entries: Sequence[Finish],
    now: float,
    *,
    fenced: bool,
    tally: bool = True,
) -> list[bool]:
    """Delete messages of one queue, and remember those that want it; count them, if not told that
    the caller does."""
    chosen = [held(entry.delivery, fenced) for entry in entries]
    finished = [
        (entry.delivery.id, entry.delivery.topic, now + entry.remember) if entry.remember else None
        for entry in entries
    ]
    gone = rows.remove(queue.id, chosen, now if queue.fifo else None, finished, now)
    free_slots(rows, queue, [entry.delivery for entry in entries])
    if tally:
        rows.tally(queue.id, sum(gone), 0)
    return gone


def free_slots(rows: Rows, queue: QueueRow, deliveries: Sequence[Delivery]) -> None:
    """Let as many come as these kept back: they run no more."""
    slots = [one.slot for one in deliveries if one.slot is not None]
    if slots:
        rows.unpark(queue.id, slots)


def keeps_others_back(delivery: Delivery) -> bool:
    """Whether others can be received once it is settled: those of its group, or of its slot."""
    return delivery.slot is not None or is_fifo(delivery.queue)


def bury_held(
    rows: Rows, queue: QueueRow, entries: Sequence[tuple[Delivery, str]], now: float
) -> tuple[list[bool], set[str]]:
    """Move messages of one queue that still carry their receipts to its DLQ, each with its failure
    record; answers which they were, and the queues to ring."""
    found = rows.find(queue.id, [held(delivery) for delivery, _ in entries])
    failed = [
        (row, failure) for row, (_, failure) in zip(found, entries, strict=True) if row is not None
    ]
    return [row is not None for row in found], bury(rows, queue, failed, now)
