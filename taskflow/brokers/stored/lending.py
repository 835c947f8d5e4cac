"""What a receive takes: due rows, less what is too old or worn out, in the order the queue asks."""

from collections import Counter
from collections.abc import Sequence
from random import Random

from taskflow.broker.settings import Holding
from taskflow.brokers.stored.letters import bury_worn, delivery
from taskflow.brokers.stored.receipts import new_lease
from taskflow.errors import OverLimit
from taskflow.limits import DEDUPLICATION_WINDOW, MAX_IN_FLIGHT
from taskflow.message import Delivery
from taskflow.stores.base import AHEAD, QueueRow, Row, Rows
from taskflow.stores.message_columns import read_extra

NOISY_IN_FLIGHT = 30
NOISY_PART = 10  # of all messages in flight, a noisy group has more than one in ten


def _uncounted(row: Row) -> int:
    """1 for a row whose last receive was no attempt, as far as anybody knows."""
    return 1 if row.lapsed and row.receipt is not None and row.receipt & AHEAD else 0


class Lending:
    """Lends messages of one process. Called inside the store's transaction."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._room: Counter[int] = Counter()  # until in-flight messages are counted again

    def lend(
        self,
        rows: Rows,
        queue: QueueRow,
        limit: int,
        visibility: float | None,
        now: float,
        attempt: str | None,
        woken: set[str],
        holding: Holding | None = None,
    ) -> list[Delivery]:
        """Take due rows; what is too old is dropped, what was received too often is moved.

        `woken` gains the queues that have something new by that.
        """
        until = now + (queue.settings.visibility_timeout if visibility is None else visibility)
        if attempt is not None and queue.fifo:
            again = rows.attempted(queue.id, attempt, now)
            if again is not None:
                receipt, held = again
                rows.extend(queue.id, [row.seq for row in held], until)
                self._remember(rows, queue, attempt, receipt, held, until, now)
                return [
                    self._hand_out(rows, row, queue, row.receive_count, receipt, until, now)
                    for row in held
                ]
        limit = min(limit, self._allowed(rows, queue, limit, now))
        if limit <= 0:
            return []
        receipt = new_lease(now, self._random.getrandbits(18))
        if holding is not None:
            return self._lend_carefully(rows, queue, limit, receipt, until, now, woken, holding)
        taken = self._take(rows, queue, limit, receipt, until, now, woken)
        if attempt is not None and queue.fifo and taken:
            self._remember(rows, queue, attempt, receipt, taken, until, now)
        return [
            self._hand_out(rows, row, queue, row.receive_count + 1, receipt, until, now)
            for row in taken
        ]

    def _lend_carefully(
        self,
        rows: Rows,
        queue: QueueRow,
        limit: int,
        receipt: int,
        until: float,
        now: float,
        woken: set[str],
        holding: Holding,
    ) -> list[Delivery]:
        """As a worker asks: of what lapsed one alone, else what comes before the first of those."""
        settings = queue.settings
        while True:
            due = self._due(rows, queue, limit, now, without_lapsed=holding.suspects > 0)
            counts = [row.receive_count - _uncounted(row) for row in due]
            expired = [row for row in due if row.sent_at + settings.retention <= now]
            worn = [
                row
                for row, count in zip(due, counts, strict=True)
                if settings.max_receives is not None
                and count >= settings.max_receives
                and row.sent_at + settings.retention > now
            ]
            if worn and (target := settings.dead_letter_queue) and rows.queue(target) is None:
                worn = []  # nowhere to go
            if not expired and not worn:
                break
            if expired:
                rows.drop(queue.id, [row.seq for row in expired])
            if worn:
                woken |= bury_worn(rows, queue, worn, now)
        if due and due[0].lapsed:
            due = due[:1] if holding.suspects == 0 else []
        else:
            fresh = [row.lapsed for row in due]
            due = due[: fresh.index(True)] if True in fresh else due
        if not due:
            return []
        suspect = due[0].lapsed
        if not suspect and (holding.messages or len(due) > 1):
            receipt |= AHEAD
        rows.hold(queue.id, [row.seq for row in due], receipt, until, now, 1 - _uncounted(due[0]))
        self._room[queue.id] -= len(due)
        lent = [
            self._hand_out(
                rows, row, queue, row.receive_count + 1 - _uncounted(row), receipt, until, now
            )
            for row in due
        ]
        lent[0].suspect = suspect
        return lent

    def _take(
        self,
        rows: Rows,
        queue: QueueRow,
        limit: int,
        receipt: int,
        until: float,
        now: float,
        woken: set[str],
    ) -> list[Row]:
        settings = queue.settings
        target = settings.dead_letter_queue
        taken: list[Row] = []
        while len(taken) < limit:
            due = self._due(rows, queue, limit - len(taken), now)
            expired = [row for row in due if row.sent_at + settings.retention <= now]
            rest = [row for row in due if row.sent_at + settings.retention > now]
            worn: list[Row] = []
            if settings.max_receives is not None and target is not None:
                worn = [row for row in rest if row.receive_count >= settings.max_receives]
                if worn and rows.queue(target) is None:
                    worn = []  # nowhere to go
            if expired:
                rows.drop(queue.id, [row.seq for row in expired])
            if worn:
                woken |= bury_worn(rows, queue, worn, now)
                rest = [row for row in rest if row not in worn]
            if rest:
                rows.hold(queue.id, [row.seq for row in rest], receipt, until, now)
                taken += rest
            if not expired and not worn:
                break
        self._room[queue.id] -= len(taken)
        return taken

    @staticmethod
    def _due(
        rows: Rows, queue: QueueRow, limit: int, now: float, without_lapsed: bool = False
    ) -> list[Row]:
        """Due rows; of a standard queue with message groups, those of quiet groups first.

        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html
        """
        due = rows.due(queue, now, limit, without_lapsed)
        if queue.fifo or not any(read_extra(row.extra).group for row in due):
            return due
        groups = rows.tenants_in_flight(queue.id, now).items()
        many = sorted((count, name) for name, count in groups if count >= NOISY_IN_FLIGHT)
        if not many:
            return due
        in_flight = rows.count_in_flight(queue.id, now, MAX_IN_FLIGHT)
        noisy = [name for count, name in many if count * NOISY_PART > in_flight]
        return rows.due_fairly(queue.id, now, limit, noisy, without_lapsed) if noisy else due

    def _allowed(self, rows: Rows, queue: QueueRow, limit: int, now: float) -> int:
        """How many more may be in flight. Counted only when the last count has been used up."""
        if self._room[queue.id] < limit:
            in_flight = rows.count_in_flight(queue.id, now, MAX_IN_FLIGHT)
            self._room[queue.id] = MAX_IN_FLIGHT - in_flight
        room = self._room[queue.id]
        if room <= 0 and not queue.fifo:
            raise OverLimit(
                f"queue {queue.name!r} has {MAX_IN_FLIGHT} messages in flight, which is the most"
            )
        return room

    @staticmethod
    def _remember(
        rows: Rows,
        queue: QueueRow,
        attempt: str,
        receipt: int,
        held: Sequence[Row],
        until: float,
        now: float,
    ) -> None:
        expires = now + DEDUPLICATION_WINDOW
        seqs = [row.seq for row in held]
        rows.remember_attempt(queue.id, attempt, receipt, seqs, until, expires, now)

    @staticmethod
    def _hand_out(
        rows: Rows, row: Row, queue: QueueRow, count: int, receipt: int, until: float, now: float
    ) -> Delivery:
        first = now if row.first_received_at is None else row.first_received_at
        return delivery(rows, row, queue, count, first, f"{row.seq}.{receipt}", until)
