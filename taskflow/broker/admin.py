"""Admin: what declares topics and queues, looks at them, and repairs what lies in them."""

from collections.abc import Callable, Collection, Mapping
from random import Random
from typing import Protocol, TypeVar

from taskflow.broker.settings import (
    Described,
    MoveTask,
    QueueCounts,
    QueueSettings,
    Surveyed,
    TopicSettings,
    TopicSubscription,
)
from taskflow.clock import Clock
from taskflow.message import Delivery

T = TypeVar("T")


class Admin(Protocol):
    """Topics, queues, subscriptions, and the messages in them as an operator sees them.

    Thread-safe. Every verb raises BrokerUnavailable when the broker cannot be used, and
    TopicNotFound or QueueNotFound for names that were never declared; then nothing was changed.
    """

    clock: Clock
    random: Random

    # ---- declare ----------------------------------------------------------------------------
    def together(self, work: Callable[[], T]) -> T:
        """Run `work`; what this thread's verbs declare and look at in it is one change: nobody's
        come in between, of this process or another, and an error undoes them. It may be run again
        from the start. Keep it short."""
        ...

    def create_topic(self, name: str, settings: TopicSettings = ...) -> None:
        """Declare a topic, a FIFO one if its name ends in `.fifo`. Idempotent; raises TopicExists
        when it exists with other settings. A message published to it before a queue subscribes
        goes nowhere, as on SNS."""
        ...

    def set_topic(self, name: str, settings: TopicSettings) -> None:
        """Replace the settings of a topic."""
        ...

    def delete_topic(self, name: str) -> None:
        """Remove a topic and its subscriptions. Idempotent. Messages in queues stay."""
        ...

    def create_queue(self, name: str, settings: QueueSettings = ...) -> None:
        """Declare a queue, a FIFO one if its name ends in `.fifo`. Idempotent; raises QueueExists,
        naming each attribute that differs, when it exists with other settings. The dead-letter
        queue must exist first (QueueNotFound), be another one of the same kind, and allow it;
        what is for FIFO queues is not for others (LimitExceeded)."""
        ...

    def set_queue(self, name: str, settings: QueueSettings) -> None:
        """Replace the settings of a queue. Raises as `create_queue` does. Messages that wait keep
        what they were given, but for the delay of a FIFO queue, which counts for those never
        received too."""
        ...

    def delete_queue(self, name: str) -> None:
        """Remove a queue and all it holds. Raises QueueNotFound. Its subscriptions stay, and
        deliver again when a queue of this name is made. Its dead letters stay where they are, and
        name no source."""
        ...

    def subscribe(self, topic: str, queue: str) -> None:
        """Fan messages of `topic` out to `queue` from now on, raw. Idempotent: nothing when a
        subscription of that topic has this queue."""
        ...

    def put_subscription(self, subscription: TopicSubscription) -> None:
        """Add a subscription, or replace the one with the same id. Takes effect at once. Its
        queues need not be there yet.

        Raises InvalidFilterPolicy; LimitExceeded for a FIFO queue under a standard topic.
        """
        ...

    def unsubscribe(self, id: str) -> None:
        """Remove a subscription. Idempotent."""
        ...

    def topics(self) -> list[str]:
        """All topics, sorted."""
        ...

    def queues(self) -> list[str]:
        """All queues, sorted, dead-letter queues among them."""
        ...

    def subscriptions(self, topic: str | None = None) -> list[TopicSubscription]:
        """All subscriptions, of one topic if given, sorted by topic and endpoint."""
        ...

    def settings(self, queue: str) -> QueueSettings:
        """The attributes of a queue."""
        ...

    def topic_settings(self, topic: str) -> TopicSettings:
        """The attributes of a topic."""
        ...

    def describe_queue(self, queue: str) -> Described:
        """When a queue was made and changed, and its tags."""
        ...

    def describe_topic(self, topic: str) -> Described:
        """When a topic was made and changed, and its tags."""
        ...

    def tag_queue(self, queue: str, tags: Mapping[str, str | None]) -> None:
        """Set tags of a queue; None removes one. 50 tags at most."""
        ...

    def tag_topic(self, topic: str, tags: Mapping[str, str | None]) -> None:
        """Set tags of a topic; None removes one. 50 tags at most."""
        ...

    def identity(self) -> dict[str, str]:
        """What the wire server noted of itself: account, region, address, signing key."""
        ...

    def set_identity(self, values: Mapping[str, str]) -> None:
        """Note it, for whoever writes an SNS envelope into a queue of this broker."""
        ...

    # ---- operate ----------------------------------------------------------------------------
    def counts(self, queue: str) -> QueueCounts:
        """How much a queue holds."""
        ...

    def survey(self, queues: Collection[str] | None = None) -> dict[str, Surveyed]:
        """All queues at once, or these, sorted by name; those that are not there are left out.
        Each as `settings` and `counts` tell it, for the price of a few looks at the broker,
        however many queues there are; on AWS for one request each."""
        ...

    def waiting(self, queue: str, most: int) -> int:
        """How many messages of a queue may be received now, counted up to `most`: it costs no more
        for a longer queue. 0 while the queue is paused. Messages past their retention may count; of
        a FIFO queue's group, one message or all."""
        ...

    def peek(self, queue: str, limit: int = 100, ids: Collection[str] = ()) -> list[Delivery]:
        """Look at messages, oldest first, without receiving them (receipts are empty)."""
        ...

    def redrive(self, queue: str, ids: Collection[str] = (), limit: int = 1000) -> int:
        """Move up to `limit` dead letters of the DLQ `queue` back to the queue each came from.

        They start anew: receive count 0, no failure record, sent now (their retention starts
        over, as on SQS). Answers how many moved; those with
        no known source stay, and those that somebody holds (received, or `lend`).
        """
        ...

    def purge(self, queue: str, ids: Collection[str] = (), limit: int = 10000) -> int:
        """Delete up to `limit` messages of a queue, in flight or not; answers how many."""
        ...

    def purged(self, queue: str) -> None:
        """Note that a queue is being purged now: what it has seen may be sent to it again."""
        ...

    def start_move(
        self, source: str, destination: str | None = None, rate: int | None = None
    ) -> MoveTask:
        """Begin to move the messages of a dead-letter queue to `destination`, or each back to the
        queue it came from, at most `rate` a second. `step_moves` does the moving.

        Raises LimitExceeded when `source` is nobody's dead-letter queue or has a task running.
        """
        ...

    def cancel_move(self, handle: str) -> MoveTask:
        """Stop a running task. Raises MoveTaskNotFound when there is none."""
        ...

    def moves(self, source: str | None = None) -> list[MoveTask]:
        """Move tasks, newest first; ended ones too."""
        ...

    def step_moves(self, limit: int = 100) -> bool:
        """Move what is due of every running task, `limit` messages of each at most; whether any
        is running still."""
        ...

    def pause(self, queue: str, paused: bool = True) -> None:
        """Let nobody receive from a queue until it is resumed (`paused=False`). Sends go on."""
        ...
