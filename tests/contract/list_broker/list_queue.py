"""ListQueue: a queue of the list broker."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from taskflow.broker.settings import Lease, QueueCounts, QueueSettings
from taskflow.errors import LimitExceeded
from taskflow.message import Delivery, Message
from tests.contract.list_broker.held_message import HeldMessage


@dataclass(slots=True)
class ListQueue:
    """Its settings, and its messages in the order in which they were sent."""

    name: str
    settings: QueueSettings
    created_at: float
    modified_at: float
    messages: list[HeldMessage] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    handled: int = 0
    dead_lettered: int = 0
    expired: int = 0

    def copy(self) -> "ListQueue":
        messages = [replace(held, receipts=[*held.receipts]) for held in self.messages]
        return replace(self, messages=messages, tags={**self.tags})

    def drop_expired(self, now: float) -> None:
        kept = [held for held in self.messages if held.sent_at + self.settings.retention > now]
        self.expired += len(self.messages) - len(kept)
        self.messages = kept

    def check(self, message: Message) -> None:
        """Raise LimitExceeded for a message that this queue does not take."""
        most, retention = self.settings.max_message_bytes, self.settings.retention
        if message.size > most:
            raise LimitExceeded(f"the message is {message.size} bytes; {self.name} takes {most}")
        if message.delay is not None and message.delay >= retention:
            raise LimitExceeded(f"a delay of {message.delay:g} s outlives the retention")

    def add(self, message: Message, topic: str, sequence: int, now: float) -> int:
        """Store a message, if it is not held; answers its number, or that of the first one."""
        self.drop_expired(now)
        if first := self.named(message.id, topic):
            return first.sequence
        delay = self.settings.delay if message.delay is None else message.delay
        held = HeldMessage(message, topic, message.attributes, sequence, now, now + delay)
        self.messages.append(held)
        return sequence

    def named(self, id: str, topic: str) -> HeldMessage | None:
        return next((held for held in self.messages if held.name == (id, topic)), None)

    def find(self, receipt: str, fence: bool = True) -> HeldMessage | None:
        """Whose receipt it is: the latest one, or any without `fence`."""
        for held in self.messages:
            if held.receipt == receipt or (not fence and receipt in held.receipts):
                return held
        return None

    def lease(self, delivery: Delivery, now: float) -> Lease:
        if held := self.find(delivery.receipt):
            return "held" if held.visible_at > now else "lapsed"
        return "stale" if self.named(delivery.id, delivery.topic) else "gone"

    def due(self, now: float) -> list[HeldMessage]:
        """What may be received, longest due first."""
        self.drop_expired(now)
        due = [held for held in self.messages if held.visible_at <= now]
        return sorted(due, key=lambda held: held.visible_at)

    def in_flight(self, now: float) -> int:
        return sum(held.visible_at > now and held.receive_count > 0 for held in self.messages)

    def next_due(self, now: float) -> float | None:
        hidden = [held.visible_at for held in self.messages if held.visible_at > now]
        return min(hidden, default=None)

    def counts(self, now: float) -> QueueCounts:
        due, in_flight = self.due(now), self.in_flight(now)
        visible = len(due)
        return QueueCounts(
            visible,
            in_flight,
            len(self.messages) - visible - in_flight,
            max((now - held.sent_at for held in self.messages), default=0.0),
            self.handled,
            self.dead_lettered,
            expired=self.expired,
            due_age_seconds=now - due[0].visible_at if due else 0.0,
        )

    def peek(self, limit: int, ids: Collection[str], now: float) -> list[Delivery]:
        self.drop_expired(now)
        asked = [held for held in self.messages if not ids or held.message.id in ids]
        return [held.delivery(self.name) for held in asked[:limit]]
