"""The verbs on topics, queues, subscriptions and moves, inside one transaction."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from taskflow.broker.settings import (
    Described,
    MoveTask,
    QueueSettings,
    TopicSettings,
    TopicSubscription,
)
from taskflow.stores.row import QueueRow, Target, TopicRow


class Declared(Protocol):
    """What `Rows` has of what is declared: all that is not about messages. The rule is the same:
    what is asked in order to be written is the asker's until the transaction ends."""

    def topics(self) -> list[str]: ...
    def topic(self, name: str) -> TopicRow | None: ...
    def put_topic(self, name: str, settings: TopicSettings, now: float) -> None:
        """Add the topic or replace its settings."""
        ...

    def drop_topic(self, name: str) -> None:
        """Remove a topic, its subscriptions, its tags and what it deduplicates by."""
        ...

    def next_sequences(self, topic: str, groups: Sequence[str], least: int) -> list[int]:
        """A number of a FIFO topic for each message of these groups: `least` or more, rising within
        each group in the order in which transactions commit."""
        ...

    def queues(self) -> list[str]:
        """The names of all queues but hidden ones (`~...`), sorted."""
        ...

    def declared(self, names: Collection[str] | None) -> list[tuple[QueueRow, float]]:
        """The queues of these names, or all but hidden ones, and when each was made; sorted."""
        ...

    def queue(self, name: str) -> QueueRow | None: ...
    def queue_of(self, id: int) -> QueueRow | None: ...
    def put_queue(self, name: str, settings: QueueSettings, now: float) -> None:
        """Add the queue or replace its settings."""
        ...

    def drop_queue(self, queue: QueueRow) -> None:
        """Remove a queue with all it holds. Subscriptions stay, as on SNS."""
        ...

    def pause_queue(self, name: str, paused: bool) -> None: ...
    def purged(self, queue: int, now: float) -> None:
        """Note when the queue was purged, and forget what it deduplicates by."""
        ...

    def described(self, kind: str, name: str) -> Described | None:
        """Times and tags of a `queue` or `topic`."""
        ...

    def tag(self, kind: str, name: str, tags: Mapping[str, str | None]) -> None:
        """Set tags; remove those whose value is None."""
        ...

    def subscriptions(self, topic: str | None = None) -> list[TopicSubscription]: ...
    def subscription(self, id: str) -> TopicSubscription | None: ...
    def find_subscription(
        self, topic: str, protocol: str, endpoint: str
    ) -> TopicSubscription | None: ...
    def put_subscription(self, subscription: TopicSubscription) -> None: ...
    def drop_subscription(self, id: str) -> None: ...
    def subscribed(self, topic: str) -> list[Target]:
        """The confirmed subscriptions of a topic, each with its queue, or its dead-letter queue if
        that is gone; without those that have neither."""
        ...

    def put_move(self, task: MoveTask) -> None: ...
    def moves(self, source: str | None = None) -> list[MoveTask]:
        """Move tasks, newest first."""
        ...

    def running(self, handle: str) -> MoveTask | None:
        """A running move task, the caller's until the transaction ends."""
        ...
