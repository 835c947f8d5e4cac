"""What is sent, on its way into the queues, in one transaction: limits, deduplication, fan-out."""

from collections.abc import Sequence

from taskflow.broker.settings import Sent, TopicSettings
from taskflow.brokers.stored.deduplication import Deduplication, with_deduplication
from taskflow.brokers.stored.fanout import Wanted, is_plain, messages_for
from taskflow.brokers.stored.lookup import find_topic
from taskflow.errors import LimitExceeded, TopicNotFound
from taskflow.limits import is_fifo
from taskflow.message import Message
from taskflow.stores.row import QueueRow, Target
from taskflow.stores.rows import Rows

HOUSEKEEPING = 64  # sends between two looks for messages past their retention


class Intake:
    """Takes messages into queues. Its caller has locked the store, and announces them after. With
    `tidy` it removes now and then what nobody wants any more."""

    def __init__(self, tidy: bool = True) -> None:
        self._tidy = tidy
        self._sends = 0
        self._tidied = 0  # the sends at the last look for what is past its retention
        self._shared = 0

    def publish(
        self,
        rows: Rows,
        topic: str,
        targets: list[Target],
        messages: Sequence[Message],
        wanted: Wanted,
        now: float,
    ) -> list[Sent]:
        """Store a publish in every queue of `targets`; answers each message's id and number."""
        if is_fifo(topic):
            return self._publish_fifo(rows, topic, targets, messages, wanted, now)
        if not targets and topic not in rows.topics():
            raise TopicNotFound(topic, rows.topics())
        return self._fan_out(rows, topic, targets, messages, [], wanted, now)

    def _publish_fifo(
        self,
        rows: Rows,
        topic: str,
        targets: list[Target],
        messages: Sequence[Message],
        wanted: Wanted,
        now: float,
    ) -> list[Sent]:
        settings = find_topic(rows, topic).settings
        messages = with_deduplication(
            messages, settings.content_based_deduplication, f"topic {topic!r}"
        )
        per_group = settings.deduplication_scope == "messageGroup"
        seen = Deduplication(rows, f"topic:{topic}", per_group, messages, now)
        groups = [message.group or "" for message in seen.new]
        numbers = rows.next_sequences(topic, groups, int(now * 1e6))
        sent = [Sent(one.id, number) for one, number in zip(seen.new, numbers, strict=True)]
        self._fan_out(rows, topic, targets, seen.new, sent, wanted, now)
        return seen.record(sent)

    def _fan_out(
        self,
        rows: Rows,
        topic: str,
        targets: list[Target],
        messages: Sequence[Message],
        sent: Sequence[Sent],
        wanted: Wanted,
        now: float,
    ) -> list[Sent]:
        """Store in every queue; answers each message's id and number."""
        numbers = [Sent(message.id, 0) for message in messages] if not sent else list(sent)
        settings: TopicSettings | None = None
        bare = are_bare(messages)
        entries: list[tuple[QueueRow, Sequence[tuple[int, Message]]]] = []
        everything = list(enumerate(messages))
        for target in targets:
            chosen = everything
            if not (bare and is_plain(target, topic)):
                if settings is None:
                    settings, identity = find_topic(rows, topic).settings, rows.identity()
                chosen = messages_for(target, messages, numbers, settings, now, identity, wanted)
            entries.append((target.queue, chosen))
        if len(entries) == 1:
            queue, places = entries[0]
            self.add(rows, queue, topic, [message for _, message in places], now)
        elif entries:
            self._add_to_many(rows, topic, entries, now)
        return numbers

    def _add_to_many(
        self,
        rows: Rows,
        topic: str,
        entries: Sequence[tuple[QueueRow, Sequence[tuple[int, Message]]]],
        now: float,
    ) -> None:
        """Store messages in several queues, the body of each once."""
        fresh: list[tuple[QueueRow, Sequence[tuple[int, Message]]]] = []
        deduplications: list[Deduplication | None] = []
        for queue, places in entries:
            messages = [message for _, message in places]
            self._check(rows, queue, messages, now)
            seen = self._deduplicate(rows, queue, messages, now) if queue.fifo else None
            deduplications.append(seen)
            if seen is not None:
                places = [
                    (places[at][0], one) for at, one in zip(seen.new_at, seen.new, strict=True)
                ]
            fresh.append((queue, places))
        numbers = rows.add_to_many(topic, fresh, now)
        for seen, some in zip(deduplications, numbers, strict=True):
            if seen is not None:
                new = zip(seen.new, some, strict=True)
                seen.record([Sent(one.id, number) for one, number in new])
        self._shared += sum(len(places) for _, places in fresh)
        if self._tidy and self._shared >= HOUSEKEEPING:  # as many go, in time, as come
            rows.sweep(2 * self._shared)
            self._shared = 0

    def add(
        self, rows: Rows, queue: QueueRow, topic: str, messages: Sequence[Message], now: float
    ) -> list[Sent]:
        """Store messages in one queue. Raises LimitExceeded for what it does not take."""
        self._check(rows, queue, messages, now)
        if not queue.fifo:
            return self._store_all(rows, queue, topic, messages, now)
        seen = self._deduplicate(rows, queue, messages, now)
        return seen.record(self._store_all(rows, queue, topic, seen.new, now))

    def tidies_next(self) -> bool:
        """Whether the next send does some housekeeping."""
        return self._tidy and self._sends + 1 - self._tidied >= HOUSEKEEPING

    def count(self) -> None:
        """A send to one queue was stored elsewhere."""
        self._sends += 1

    def _check(self, rows: Rows, queue: QueueRow, messages: Sequence[Message], now: float) -> None:
        """Raise LimitExceeded for what a queue does not take; now and then, let what is past its
        retention go."""
        settings = queue.settings
        for message in messages:
            if message.delay and message.delay >= settings.retention:
                raise LimitExceeded(
                    f"a delay of {message.delay:g} s passes the retention of queue "
                    f"{queue.name!r} ({settings.retention:g} s): it would never be due"
                )
            if message.size > settings.max_message_bytes:
                raise LimitExceeded(
                    f"the message is {message.size} bytes; queue {queue.name!r} takes "
                    f"{settings.max_message_bytes}"
                )
        self._sends += 1
        if self._tidy and self._sends - self._tidied >= HOUSEKEEPING:
            self._tidied = self._sends  # queues that nobody receives from must end too
            rows.expire(queue.id, now - settings.retention)

    @staticmethod
    def _deduplicate(
        rows: Rows, queue: QueueRow, messages: Sequence[Message], now: float
    ) -> Deduplication:
        """Which of them a FIFO queue does not know yet."""
        settings = queue.settings
        messages = with_deduplication(
            messages, settings.content_based_deduplication, f"queue {queue.name!r}"
        )
        for message in messages:
            if message.delay:
                raise LimitExceeded(
                    f"queue {queue.name!r} is FIFO: its messages have no delays of their own"
                )
            if message.priority not in (None, "normal"):
                raise LimitExceeded(
                    f"queue {queue.name!r} is FIFO, and a message of priority "
                    f"{message.priority!r} would overtake its group"
                )
            if message.slot is not None:
                raise LimitExceeded(
                    f"queue {queue.name!r} is FIFO: it runs one of each group at once, and knows "
                    "no other limit"
                )
        per_group = settings.deduplication_scope == "messageGroup"
        return Deduplication(rows, f"queue:{queue.id}", per_group, messages, now)

    @staticmethod
    def _store_all(
        rows: Rows, queue: QueueRow, topic: str, messages: Sequence[Message], now: float
    ) -> list[Sent]:
        if not messages:
            return []
        numbers = rows.add(queue, topic, messages, now)
        return [Sent(one.id, number) for one, number in zip(messages, numbers, strict=True)]


def are_bare(messages: Sequence[Message]) -> bool:
    """Whether they have one body each, and no subject."""
    if len(messages) == 1:
        return messages[0].subject is None and not messages[0].bodies
    return all(message.subject is None and not message.bodies for message in messages)
