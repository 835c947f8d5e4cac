"""HeldMessage: a message as a queue of the list broker holds it."""

from dataclasses import dataclass, field

from taskflow.message import Attributes, Delivery, Message


@dataclass(slots=True)
class HeldMessage:
    """What was sent, and how it was lent since. Times in epoch seconds.

    `receipt` is that of who has it, or had it last; `receipts` all there ever were.
    """

    message: Message
    topic: str
    attributes: Attributes
    sequence: int
    sent_at: float
    visible_at: float
    receive_count: int = 0
    first_received_at: float | None = None
    receipt: str | None = None
    receipts: list[str] = field(default_factory=list)
    source: str | None = None
    received_before: int = 0

    @property
    def name(self) -> tuple[str, str]:
        """What tells it from others in its queue."""
        return self.message.id, self.topic

    def lend(self, receipt: str, now: float, until: float) -> None:
        self.visible_at = until
        self.receive_count += 1
        if self.first_received_at is None:
            self.first_received_at = now
        self.receipt = receipt
        self.receipts.append(receipt)

    def give_back(self, now: float) -> None:
        self.visible_at = now
        self.receive_count -= 1
        self.receipt = None
        if not self.receive_count:
            self.first_received_at = None

    def delivery(self, queue: str, receipt: str = "") -> Delivery:
        message = self.message
        return Delivery(
            message.id,
            self.topic,
            message.body,
            self.attributes,
            queue,
            receipt,
            self.receive_count,
            self.sent_at,
            self.first_received_at or 0.0,
            self.visible_at,
            sequence=self.sequence,
            source=self.source,
            group=message.group,
            deduplication_id=message.deduplication_id,
            trace=message.trace,
            sender=message.sender,
            received_before=self.received_before,
            run=message.run,
            expires_at=message.expires_at,
            priority=message.priority,
            headers=message.headers,
        )
