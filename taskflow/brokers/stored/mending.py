"""The broker verbs on single dead letters: lent, sent anew, moved elsewhere."""

from collections.abc import Collection

import msgspec

from taskflow.brokers.stored.core import Core
from taskflow.brokers.stored.intake import Intake
from taskflow.brokers.stored.letters import anew, delivery
from taskflow.brokers.stored.lookup import find_queue
from taskflow.brokers.stored.receipts import new_lease
from taskflow.errors import LimitExceeded, MessageNotFound
from taskflow.limits import check_seconds
from taskflow.message import Delivery, Message
from taskflow.stores.row import Moved, QueueRow, Row
from taskflow.stores.rows import Rows

SAME_ID = 10  # topics under which letters have one id, looked at


class Mending:
    """Thread-safe. Each verb is one change."""

    def __init__(self, core: Core, intake: Intake) -> None:
        self._core = core
        self._intake = intake

    def lend(self, queue: str, id: str, seconds: float) -> Delivery:
        """Hold a message."""
        check_seconds("seconds", seconds, 0, float("inf"))

        def lend(rows: Rows) -> Delivery:
            now = self._core.now()
            row = find_queue(rows, queue)
            found = self._one(rows, row, id, now, only_letters=False)
            lease = new_lease(now, self._core.random.getrandbits(17))
            rows.handover.hide(row.id, [found.seq], lease, now + seconds)
            receipt = f"{self._core.mark}{found.seq}.{lease}"
            first = found.first_received_at or now
            return delivery(rows, found, row, found.receive_count, first, receipt, now + seconds)

        return self._core.store.transact(lend, alone=True)

    def resend(self, queue: str, id: str, message: Message) -> str:
        """Store a message in place of a letter."""

        def resend(rows: Rows) -> str:
            now = self._core.now()
            row = find_queue(rows, queue)
            letter = self._one(rows, row, id, now)
            home = rows.queue_of(letter.source) if letter.source is not None else None
            if home is None:
                raise MessageNotFound(f"where the letter {id!r} of {queue!r} came from is gone")
            self._store(rows, row, letter, home, message, now)
            return home.name

        self._core.store.transact(
            resend,
            durable=True,
            committed=lambda home: self._core.waiters.announce({home, queue}),
        )
        return message.id

    def transfer(self, queue: str, ids: Collection[str], to: str) -> int:
        """Move letters to another queue."""

        def move(rows: Rows) -> int:
            now = self._core.now()
            row, target = find_queue(rows, queue), find_queue(rows, to)
            if row.fifo != target.fifo:
                raise LimitExceeded(
                    f"a FIFO queue's messages move to a FIFO queue, a standard queue's to a "
                    f"standard one; {queue!r} and {to!r} differ"
                )
            letters = [
                Moved(anew(one, now), target, None)
                for one in (rows.select(row.id, ids, len(ids) * SAME_ID) if ids else [])
                if one.source is not None
                and not is_held(one, now)
                and one.sent_at + row.settings.retention > now
            ]
            return sum(rows.move(row.id, letters, now))

        return self._core.store.transact(
            move, durable=True, committed=lambda _: self._core.waiters.announce({queue, to})
        )

    def _store(
        self, rows: Rows, row: QueueRow, letter: Row, home: QueueRow, message: Message, now: float
    ) -> None:
        if message.id == letter.id:
            raise LimitExceeded(f"the message has the id of its letter, {letter.id!r}; another one")
        if rows.select(home.id, [message.id], 1):
            raise held_already(home.name, message.id)
        group = delivery(rows, letter, row, 0, 0.0).group
        if message.group not in (None, group) and home.fifo:
            raise LimitExceeded(
                f"the message has the group {message.group!r}; that of its letter is {group!r}"
            )
        if not rows.drop(row.id, [letter.seq]):
            raise MessageNotFound(f"no dead letter {letter.id!r} in {row.name!r}")
        if message.group is None and group is not None:
            message = msgspec.structs.replace(message, group=group)
        (sent,) = self._intake.add(rows, home, letter.topic, [message], now)
        if sent.id != message.id:
            raise LimitExceeded(
                f"the message has the deduplication id of {sent.id!r}, which was sent to "
                f"{home.name!r} within five minutes"
            )

    @staticmethod
    def _one(rows: Rows, queue: QueueRow, id: str, now: float, *, only_letters: bool = True) -> Row:
        found = [
            one
            for one in rows.select(queue.id, [id], SAME_ID)
            if one.sent_at + queue.settings.retention > now
            and (one.source is not None or not only_letters)
        ]
        if not found:
            kind = "dead letter" if only_letters else "message"
            raise MessageNotFound(f"no {kind} {id!r} in {queue.name!r}")
        if is_held(found[0], now):
            raise LimitExceeded(f"somebody holds message {id!r} of {queue.name!r} at the moment")
        return found[0]


def held_already(queue: str, id: str) -> LimitExceeded:
    """What is said of a message whose id is taken."""
    return LimitExceeded(f"queue {queue!r} holds a message {id!r} already")


def is_held(row: Row, now: float) -> bool:
    """Whether a row is lent to somebody."""
    return row.receipt is not None and row.visible_at > now
