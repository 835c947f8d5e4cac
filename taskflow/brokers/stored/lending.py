"""What a receive takes: due rows, less what is too old or worn out, in the order the queue asks."""

from collections import Counter
from collections.abc import Collection, Sequence
from random import Random

from taskflow.broker.settings import Holding
from taskflow.brokers.stored.letters import bury_worn, delivery
from taskflow.brokers.stored.receipts import new_lease
from taskflow.errors import OverLimit
from taskflow.limits import DEDUPLICATION_WINDOW, MAX_IN_FLIGHT
from taskflow.message import Delivery
from taskflow.stores.row import AHEAD, CROWD, PLAIN, Ask, QueueRow, Row
from taskflow.stores.rows import Rows
from taskflow.stores.turns import Turns

MOST_GONE = 1000  # in one transaction: others wait for it
NOISY_IN_FLIGHT = 30
NOISY_PART = 10  # of all messages in flight, a noisy group has more than one in ten


class Lending:
    """Lends messages of one process. Called inside the store's transaction."""

    def __init__(self, random: Random, mark: str = "") -> None:
        self._random = random
        self._mark = mark  # of its receipts
        self._room: Counter[int] = Counter()  # until in-flight messages are counted again
        self._turns: dict[int, Turns] = {}
        self._bits: list[int] = []  # random ones, of a lease that was not given

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
    ) -> tuple[list[Delivery], bool, Collection[int]]:
        """Take due rows; what is too old is dropped, what was received too often is moved. Answers
        too whether it stopped at that, so that there may be more, and the numbers of those whose
        event is known not to be finished.

        `woken` gains the queues that have something new by that.
        """
        until = now + (queue.settings.visibility_timeout if visibility is None else visibility)
        if attempt is not None and queue.fifo:
            again = rows.attempted(queue.id, attempt, now)
            if again is not None:
                receipt, held = again
                rows.extend(queue.id, [row.seq for row in held], until)
                self._remember(rows, queue, attempt, receipt, held, until, now)
                lent = [
                    self._hand_out(rows, row, queue, row.receive_count, receipt, until, now)
                    for row in held
                ]
                return lent, False, ()
        limit = min(limit, self._allowed(rows, queue, limit, now))
        if limit <= 0:
            return [], False, ()
        receipt = new_lease(now, self.draw())
        new: set[int] = set()
        taken, receipt, more = self._take(
            rows, queue, limit, receipt, until, now, woken, holding, new
        )
        if attempt is not None and queue.fifo and taken:
            self._remember(rows, queue, attempt, receipt, taken, until, now)
        lent = [
            self._hand_out(rows, row, queue, row.receive_count + 1, receipt, until, now)
            for row in taken
        ]
        if holding is not None and lent:
            lent[0].suspect = taken[0].lapsed and not receipt & CROWD
        return lent, more, new

    def lend_lone(
        self,
        rows: Rows,
        queue: QueueRow,
        visibility: float | None,
        now: float,
        holding: Holding | None,
    ) -> tuple[Delivery | None, bool]:
        """As `lend` where only one message is due, and that one was never received: nothing is
        asked then but whether this is so. None when it is not, or when messages in flight must be
        counted; and whether its event is finished."""
        if self._room[queue.id] <= 0:
            return None, False
        until = now + (queue.settings.visibility_timeout if visibility is None else visibility)
        bits = self.draw()
        receipt = new_lease(now, bits)
        if holding is not None and holding.messages:
            receipt |= AHEAD
        lone = rows.lend_lone(queue, receipt, until, now - queue.settings.retention, now)
        if lone is None:
            self._bits[:] = [bits]  # for who looks then: as if this had not been tried
            return None, False
        self._room[queue.id] -= 1
        return self._hand_out(rows, lone.row, queue, 1, receipt, until, now), lone.finished

    def draw(self) -> int:
        """What no receipt of the same millisecond has, in all likelihood."""
        try:
            return self._bits.pop()
        except IndexError:
            return self._random.getrandbits(17)

    def _take(
        self,
        rows: Rows,
        queue: QueueRow,
        limit: int,
        receipt: int,
        until: float,
        now: float,
        woken: set[str],
        holding: Holding | None,
        new: set[int],
    ) -> tuple[list[Row], int, bool]:
        """Rows as they were before, the receipt they have now, and whether there may be more. What
        is too old goes, what is worn out is buried, and others are taken in their place."""
        settings = queue.settings
        most = settings.max_receives
        kinds = PLAIN if queue.fifo else rows.kinds(queue.id)
        noisy = self._noisy(rows, queue, now) if kinds.grouped else []
        turns = self._turns.setdefault(queue.id, Turns()) if kinds.leveled else None
        taken: list[Row] = []
        gone = 0
        while len(taken) < limit and gone < MOST_GONE:
            kept_from = now - settings.retention
            ask = Ask(limit - len(taken), receipt, until, kept_from, most, holding, noisy, turns)
            lent = rows.lend(queue, ask, now)
            if lent.old:
                rows.drop_old(queue.id, [row.seq for row in lent.old])
                rows.unpark(queue.id, [row.slot for row in lent.old if row.slot is not None])
            if lent.worn and rows.queue(settings.dead_letter_queue or "") is None:
                most = None  # they have nowhere to go: they are lent
            elif lent.worn:
                woken |= bury_worn(rows, queue, lent.worn, now)
                gone += len(lent.worn)
            taken += lent.rows
            new.update(lent.unfinished)
            gone += len(lent.old) + lent.put_off
            settled = not (lent.old or lent.worn or lent.put_off)
            if settled or (holding is not None and taken):
                receipt = lent.receipt
                break
        self._room[queue.id] -= len(taken)
        return taken, receipt, gone >= MOST_GONE

    @staticmethod
    def _noisy(rows: Rows, queue: QueueRow, now: float) -> list[str]:
        """Message groups of a standard queue that come after the others.

        https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html
        """
        groups = rows.tenants_in_flight(queue.id, now).items()
        many = sorted((count, name) for name, count in groups if count >= NOISY_IN_FLIGHT)
        if not many:
            return []
        in_flight = rows.count_in_flight(queue.id, now, MAX_IN_FLIGHT)
        return [name for count, name in many if count * NOISY_PART > in_flight]

    def _allowed(self, rows: Rows, queue: QueueRow, limit: int, now: float) -> int:
        """How many more may be in flight. Counted only when the last count has been used up."""
        if self._room[queue.id] < limit:
            in_flight = rows.count_in_flight(queue.id, now, MAX_IN_FLIGHT)
            self._room[queue.id] = MAX_IN_FLIGHT - in_flight
        room = self._room[queue.id]
        if room <= 0 and not queue.fifo and rows.count_due(queue, now, 1):
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

    def _hand_out(
        self,
        rows: Rows,
        row: Row,
        queue: QueueRow,
        count: int,
        receipt: int,
        until: float,
        now: float,
    ) -> Delivery:
        first = now if row.first_received_at is None else row.first_received_at
        text = f"{self._mark}{row.seq}.{receipt}"
        return delivery(rows, row, queue, count, first, text, until)
