"""A queue of a simulation that is kept beside the database while it holds few plain messages."""

from collections.abc import Sequence

from taskflow.message import NO_ATTRIBUTES, Delivery, Message
from taskflow.stores.row import SPOKEN, QueueRow
from taskflow.stores.sqlite.put_away import KeptMessage

MOST = 64  # messages: it looks through all of them


class Kept:
    """A message, with what the store has in its row."""

    __slots__ = (
        "first_received_at",
        "message",
        "queue",
        "receipt",
        "receipt_text",
        "receive_count",
        "sent_at",
        "seq",
        "topic",
        "visible_at",
    )

    def __init__(
        self,
        queue: "KeptQueue",
        seq: int,
        topic: str,
        message: Message,
        visible_at: float,
        now: float,
    ) -> None:
        self.queue = queue
        self.seq = seq
        self.topic = topic
        self.message = message
        self.visible_at = visible_at
        self.sent_at = now
        self.receive_count = 0
        self.receipt: int | None = None
        self.receipt_text = ""
        self.first_received_at: float | None = None

    def hide(self, until: float, spoken: int) -> None:
        """Hide it anew; `spoken` is SPOKEN where its holder is done with it, else 0."""
        assert self.receipt is not None
        self.receipt = self.receipt & ~SPOKEN | spoken
        self.visible_at = until


class KeptQueue:
    """All that a standard queue holds, as rows of which each is what the store would have."""

    def __init__(self, queue: QueueRow) -> None:
        self.queue = queue
        self.name = queue.name
        self.rows: dict[int, Kept] = {}
        self._ids: set[tuple[str, str]] = set()
        self.handled = 0
        """Messages that were acknowledged here, which the store does not know."""

    def takes(self, topic: str, messages: Sequence[Message]) -> bool:
        """Whether these may be added: plain ones that the queue takes, and does not hold."""
        settings = self.queue.settings
        if len(self.rows) + len(messages) > MOST:
            return False
        new = set()
        for one in messages:
            if (
                one.attributes
                or one.group is not None
                or one.deduplication_id is not None
                or one.sender is not None
                or one.subject is not None
                or one.bodies
                or one.priority is not None
                or one.slot is not None
                or (one.delay and one.delay >= settings.retention)
                or one.size > settings.max_message_bytes
                or (one.id, topic) in self._ids
            ):
                return False
            new.add(one.id)
        return len(new) == len(messages)

    def add(self, seq: int, topic: str, message: Message, now: float) -> None:
        """Hold one more."""
        delay = message.delay
        due = now + (self.queue.settings.delay if delay is None else delay)
        self.rows[seq] = Kept(self, seq, topic, message, due, now)
        self._ids.add((message.id, topic))

    def next_due(self, after: float) -> float | None:
        """When the first message becomes visible that does so after that."""
        dues = [one.visible_at for one in self.rows.values() if one.visible_at > after]
        return min(dues) if dues else None

    def first(self, now: float) -> Kept | None:
        """The message whose turn it is."""
        found: Kept | None = None
        for one in self.rows.values():
            due = one.visible_at
            if due <= now and (found is None or (due, one.seq) < (found.visible_at, found.seq)):
                found = one
        return found

    def is_plain(self, one: Kept, now: float) -> bool:
        """Whether it may be lent as any other: neither too old nor received too often, and its last
        lease did not lapse."""
        settings = self.queue.settings
        return (
            one.sent_at > now - settings.retention
            and (settings.max_receives is None or one.receive_count < settings.max_receives)
            and (one.receipt is None or one.receipt & SPOKEN != 0)
        )

    def lend(self, one: Kept, receipt: int, now: float, visibility: float | None) -> Delivery:
        """Hide it under this receipt."""
        if visibility is None:
            visibility = self.queue.settings.visibility_timeout
        until = one.visible_at = now + visibility
        one.receipt = receipt
        one.receipt_text = text = f"{one.seq}.{receipt}"
        one.receive_count += 1
        if one.first_received_at is None:
            one.first_received_at = now
        message = one.message
        return Delivery(
            message.id,
            one.topic,
            message.body,
            NO_ATTRIBUTES,
            self.name,
            text,
            one.receive_count,
            one.sent_at,
            one.first_received_at,
            until,
            False,
            one.seq,
            trace=message.trace,
            run=message.run,
            expires_at=None if message.expires_at is None else float(message.expires_at),
            headers=dict(message.headers),
        )

    def drop(self, one: Kept) -> None:
        """It is handled."""
        del self.rows[one.seq]
        self._ids.discard((one.message.id, one.topic))
        self.handled += 1

    def as_stored(self) -> list[KeptMessage]:
        """Its messages as rows of the store."""
        return [
            KeptMessage(
                self.queue.id,
                one.seq,
                one.visible_at,
                one.receive_count,
                one.receipt,
                one.first_received_at,
                one.sent_at,
                one.message.id,
                one.topic,
            )
            for one in self.rows.values()
        ]
