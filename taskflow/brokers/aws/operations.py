"""Operations: looking at the messages of a queue, and repairing: redrive, purge.

SQS shows no message without lending it: to look is to receive and give back, and costs a receive.
"""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

from taskflow.broker.settings import QueueCounts, Surveyed
from taskflow.brokers.aws.directory import Directory
from taskflow.brokers.aws.lent_messages import LentMessages
from taskflow.brokers.aws.pauses import Pauses
from taskflow.brokers.aws.polls import MAX_MESSAGES, Ask
from taskflow.brokers.aws.queue_receiver import QueueReceiver
from taskflow.brokers.aws.receipts import Receipts
from taskflow.brokers.aws.resend import redriven
from taskflow.brokers.aws.settler import Settler
from taskflow.brokers.aws.tally import Tally
from taskflow.clock import Clock
from taskflow.errors import QueueNotFound
from taskflow.message import Delivery

LOOK = 60.0  # seconds for which messages are hidden while they are looked at
MOST_LOOKED_AT = 1000
_COUNTED = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class Operations:
    """Thread-safe. The contract of its verbs stands in `taskflow.broker.Broker`."""

    def __init__(
        self,
        clock: Clock,
        directory: Directory,
        receiver: QueueReceiver,
        settler: Settler,
        lent: LentMessages,
        receipts: Receipts,
        tally: Tally,
        pauses: Pauses,
    ) -> None:
        self._clock = clock
        self._directory = directory
        self._receiver = receiver
        self._settler = settler
        self._lent = lent
        self._receipts = receipts
        self._tally = tally
        self._pauses = pauses

    def counts(self, queue: str) -> QueueCounts:
        """What SQS says, approximately; how many were handled and dead-lettered counts this
        process alone. The age of the oldest is in CloudWatch only: 0."""
        self._pauses.refresh()
        return self._counts(queue, self._directory.attributes(queue, *_COUNTED))

    def _counts(self, queue: str, texts: Mapping[str, str]) -> QueueCounts:
        visible, in_flight, delayed = (int(texts.get(name, 0)) for name in _COUNTED)
        handled, dead = self._tally.read(queue)
        paused = queue in self._pauses
        return QueueCounts(visible, in_flight, delayed, 0.0, handled, dead, paused)

    def survey(self, queues: Collection[str] | None = None) -> dict[str, Surveyed]:
        """What SQS says of each, in one request."""
        self._pauses.refresh()
        found = {}
        for queue in sorted(set(self._directory.queues() if queues is None else queues)):
            with suppress(QueueNotFound):
                texts = self._directory.attributes(queue)
                settings = self._directory.keep_settings(queue, texts)
                created_at = float(texts.get("CreatedTimestamp", 0))
                found[queue] = Surveyed(settings, self._counts(queue, texts), created_at)
        return found

    def waiting(self, queue: str, most: int) -> int:
        """What SQS says, approximately, in one request."""
        self._pauses.refresh()
        if queue in self._pauses:
            return 0
        name = _COUNTED[0]
        return min(most, int(self._directory.attributes(queue, name).get(name, 0)))

    def next_due(self, *queues: str) -> float | None:
        """Of the messages that this process has received."""
        self._pauses.refresh()
        chosen = [name for name in queues if name not in self._pauses]
        return self._receipts.next_due(chosen, self._clock.now())

    # ---- look -------------------------------------------------------------------------------
    def peek(self, queue: str, limit: int = 100, ids: Collection[str] = ()) -> list[Delivery]:
        """Of those that are visible: what is in flight or delayed is not shown. They are hidden
        while this goes on, and SQS counts a receive of each."""
        looked = self._look_at(queue, MOST_LOOKED_AT if ids else limit)
        self._settler.give_back(looked)
        chosen = [one for one in looked if not ids or one.id in ids][:limit]
        for one in chosen:
            one.receipt = ""
            one.receive_count -= 1
        return chosen

    def _look_at(self, queue: str, most: int) -> list[Delivery]:
        """Receive what is visible, whatever it is."""
        self._directory.url(queue)
        ask = Ask(queue, LOOK, None)
        found: list[Delivery] = []
        while len(found) < most:
            lent = self._receiver.lend(ask, min(MAX_MESSAGES, most - len(found)), 0)
            if not lent:
                break
            found += [delivery for delivery, _ in lent]
        return sorted(found, key=lambda one: (one.sequence, one.sent_at))

    def _choose(
        self,
        queue: str,
        ids: Collection[str],
        limit: int,
        wanted: Callable[[Delivery], bool] = lambda _: True,
    ) -> list[Delivery]:
        """Receive so many messages by their ids, or any; the others are given back."""
        looked = self._look_at(queue, max(limit, MOST_LOOKED_AT) if ids else limit)
        chosen = [one for one in looked if (not ids or one.id in ids) and wanted(one)][:limit]
        kept = {id(one) for one in chosen}
        self._settler.give_back([one for one in looked if id(one) not in kept])
        return chosen

    # ---- repair -----------------------------------------------------------------------------
    def redrive(self, queue: str, ids: Collection[str] = (), limit: int = 1000) -> int:
        total = 0
        while total < limit:  # the later letters of a FIFO group come once the first are gone
            moved = self._redrive_some(queue, ids, limit - total)
            total += moved
            if not moved:
                break
        return total

    def _redrive_some(self, queue: str, ids: Collection[str], limit: int) -> int:
        letters = self._choose(queue, ids, limit, lambda one: one.source is not None)
        by_source: dict[str, list[Delivery]] = {}
        for letter in letters:
            by_source.setdefault(letter.source or "", []).append(letter)
        moved = 0
        for source, some in by_source.items():
            try:
                self._directory.url(source)
            except QueueNotFound:
                self._settler.give_back(some)
                continue
            moved += sum(
                self._settler.replace(queue, source, some, [redriven(one) for one in some])
            )
        return moved

    def purge(self, queue: str, ids: Collection[str] = (), limit: int = 10000) -> int:
        """By ids, or fewer than there are: of those that are visible. PurgeQueue otherwise, which
        AWS allows once a minute (BrokerUnavailable)."""
        counts = self.counts(queue)
        total = counts.visible + counts.in_flight + counts.delayed
        if ids or limit < total:
            chosen = self._choose(queue, ids, limit)
            return sum(self._lent.drop(queue, chosen))
        self._directory.on_queue(queue, "purge_queue")
        self._receipts.purge(queue)
        return total

    def purged(self, queue: str) -> None:
        """PurgeQueue has noted it."""
        self._directory.url(queue)
