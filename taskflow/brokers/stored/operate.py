"""The broker verbs that look and repair."""

from collections.abc import Collection

from taskflow.broker import QueueCounts
from taskflow.broker.settings import Surveyed
from taskflow.brokers.stored.core import Core
from taskflow.brokers.stored.letters import anew, delivery
from taskflow.brokers.stored.lookup import find_queue
from taskflow.brokers.stored.mending import is_held
from taskflow.message import Delivery
from taskflow.stores.row import Counted, Moved, QueueRow
from taskflow.stores.rows import Rows


class Operator:
    """What an operator asks of a queue. Thread-safe."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def counts(self, queue: str) -> QueueCounts:
        """How much a queue holds."""
        now = self._core.now()

        def look(rows: Rows) -> QueueCounts:
            row = find_queue(rows, queue)
            (counted,) = rows.counts([_kept(row, now)], now)
            return _counts(row, counted, now)

        return self._core.store.look(look)

    def survey(self, queues: Collection[str] | None = None) -> dict[str, Surveyed]:
        """All queues at once, or these."""
        now = self._core.now()

        def look(rows: Rows) -> dict[str, Surveyed]:
            there = rows.declared(queues)
            counted = rows.counts([_kept(row, now) for row, _ in there], now)
            return {
                row.name: Surveyed(row.settings, _counts(row, found, now), created_at)
                for (row, created_at), found in zip(there, counted, strict=True)
            }

        return self._core.store.look(look)

    def waiting(self, queue: str, most: int) -> int:
        """How many messages may be received now; counts no further than `most`."""
        now = self._core.now()

        def look(rows: Rows) -> int:
            row = find_queue(rows, queue)
            return 0 if row.paused else rows.count_due(row, now, most)

        return self._core.store.look(look)

    def peek(self, queue: str, limit: int = 100, ids: Collection[str] = ()) -> list[Delivery]:
        """Look at messages without receiving them."""
        now = self._core.now()

        def look(rows: Rows) -> list[Delivery]:
            row = find_queue(rows, queue)
            return [
                delivery(rows, one, row, one.receive_count, one.first_received_at or 0.0)
                for one in rows.select(row.id, ids, limit)
                if one.sent_at + row.settings.retention > now
            ]

        return self._core.store.look(look)

    def redrive(self, queue: str, ids: Collection[str] = (), limit: int = 1000) -> int:
        """Send dead letters back to where they came from."""

        def move(rows: Rows) -> tuple[int, set[str]]:
            woken: set[str] = set()
            now = self._core.now()
            row = find_queue(rows, queue)
            old, letters = [], []
            for letter in rows.select(row.id, ids, limit):
                if letter.sent_at + row.settings.retention <= now:
                    old.append(letter.seq)
                    continue
                if is_held(letter, now):
                    continue
                home = rows.queue_of(letter.source) if letter.source is not None else None
                if home is not None:
                    letters.append(Moved(anew(letter, now), home, None))
                    woken |= {home.name, queue} if row.fifo else {home.name}
            rows.drop_old(row.id, old)
            moved = sum(rows.move(row.id, letters, now))
            return moved, woken

        moved, _ = self._core.store.transact(
            move, durable=True, committed=lambda found: self._core.waiters.announce(found[1])
        )
        return moved

    def purge(self, queue: str, ids: Collection[str] = (), limit: int = 10000) -> int:
        """Delete messages."""

        def drop(rows: Rows) -> int:
            row = find_queue(rows, queue)
            chosen = rows.select(row.id, ids, limit)
            rows.drop(row.id, [found.seq for found in chosen])
            rows.unpark(row.id, [found.slot for found in chosen if found.slot is not None])
            return len(chosen)

        gone = self._core.store.transact(drop)
        self._core.waiters.announce([queue])  # they may have kept others back
        return gone

    def purged(self, queue: str) -> None:
        """Note that a queue is being purged."""

        def note(rows: Rows) -> None:
            rows.purged(find_queue(rows, queue).id, self._core.now())

        self._core.store.transact(note)

    def pause(self, queue: str, paused: bool = True) -> None:
        """Let nobody receive from a queue, or everybody again."""

        def pause(rows: Rows) -> None:
            find_queue(rows, queue)
            rows.pause_queue(queue, paused)

        self._core.store.transact(
            pause, durable=True, committed=lambda _: self._core.waiters.announce([queue])
        )


def _kept(row: QueueRow, now: float) -> tuple[int, float]:
    """A queue, and after when its messages were sent that are not past their retention."""
    return row.id, now - row.settings.retention


def _counts(row: QueueRow, found: Counted, now: float) -> QueueCounts:
    age, due = (
        0.0 if since is None else max(0.0, now - since) for since in (found.oldest, found.due)
    )
    return QueueCounts(
        *(found.visible, found.in_flight, found.delayed, age),
        *(found.handled, found.dead_lettered, row.paused, found.expired),
        due_age_seconds=due,
    )
