"""The Broker protocol: the verbs of SNS and SQS. These docstrings are the specification.

`tests/contract` tests every sentence below over every broker.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

from taskflow.clock import Clock
from taskflow.errors import LimitExceeded
from taskflow.limits import (
    MAX_RECEIVES,
    MAX_RETENTION,
    MAX_VISIBILITY,
    MIN_RETENTION,
    check_seconds,
)
from taskflow.message import Delivery, Message


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """The attributes of a queue. Seconds throughout; the defaults are those of SQS.

    A message received `max_receives` times without being deleted goes to `dead_letter_queue` at
    its next receive (SQS: redrive policy). Both are set or neither is.
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
    """

    visibility_timeout: float = 30.0
    delay: float = 0.0
    retention: float = 345600.0
    dead_letter_queue: str | None = None
    max_receives: int | None = None

    def __post_init__(self) -> None:
        check_seconds("visibility_timeout", self.visibility_timeout, 0, MAX_VISIBILITY)
        check_seconds("retention", self.retention, MIN_RETENTION, MAX_RETENTION)
        check_seconds("delay", self.delay, 0, self.retention)
        if (self.dead_letter_queue is None) != (self.max_receives is None):
            raise LimitExceeded(
                "a redrive policy has both: dead_letter_queue and max_receives, or neither"
            )
        if self.max_receives is not None and not 1 <= self.max_receives <= MAX_RECEIVES:
            raise LimitExceeded(
                f"max_receives is {self.max_receives}; 1 to {MAX_RECEIVES} are allowed"
            )


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How much a queue holds now, and what became of what it held before.

    `visible`: may be received now. `in_flight`: received and still hidden. `delayed`: never
    received and not yet due. `oldest_age_seconds`: since the oldest of them was sent, 0 when
    there is none. `handled`: deleted so far. `dead_lettered`: moved to the DLQ so far.
    """

    visible: int
    in_flight: int
    delayed: int
    oldest_age_seconds: float
    handled: int
    dead_lettered: int
    paused: bool = False


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a running worker says of itself. Times in epoch seconds, `seconds` of run time."""

    id: str
    host: str
    pid: int
    queues: tuple[str, ...]
    started_at: float
    busy: int
    slots: int
    handlers: Mapping[str, Mapping[str, float]]
    failures: Sequence[Mapping[str, Any]]
    seen_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Finish:
    """One entry of `Broker.delete`: a receipt, and how long (seconds) to remember the id.

    `remember=0` records nothing; else the queue answers True for this id in `finished` until
    then. Record and deletion are one transaction.
    """

    delivery: Delivery
    remember: float = 0.0


class Broker(Protocol):
    """Topics that fan out to queues, and queues that lend their messages.

    Thread-safe. Every verb raises BrokerUnavailable when the broker cannot be used, and
    TopicNotFound or QueueNotFound for names that were never declared; then nothing was changed.
    (One exception: a publish whose wait for the disk failed may be stored. Repeating it with the
    same ids is safe.)
    Names are checked by `taskflow.limits`. Batches answer entry by entry, in order.
    """

    clock: Clock
    random: Random

    # ---- declare ----------------------------------------------------------------------------
    def create_topic(self, name: str) -> None:
        """Declare a topic. Idempotent. A message published to it before a queue subscribes
        goes nowhere, as on SNS."""
        ...

    def create_queue(self, name: str, settings: QueueSettings = ...) -> None:
        """Declare a queue. Idempotent; raises QueueExists, naming each attribute that differs,
        when it exists with other settings. The dead-letter queue must exist first."""
        ...

    def set_queue(self, name: str, settings: QueueSettings) -> None:
        """Replace the settings of a queue. Messages that wait keep what they were given."""
        ...

    def subscribe(self, topic: str, queue: str) -> None:
        """Fan messages of `topic` out to `queue` from now on. Idempotent."""
        ...

    def topics(self) -> list[str]:
        """All topics, sorted."""
        ...

    def queues(self) -> list[str]:
        """All queues, sorted, dead-letter queues among them."""
        ...

    def subscriptions(self) -> list[tuple[str, str]]:
        """All (topic, queue) pairs, sorted."""
        ...

    def settings(self, queue: str) -> QueueSettings:
        """The attributes of a queue."""
        ...

    # ---- traffic ----------------------------------------------------------------------------
    def publish(self, topic: str, messages: Sequence[Message]) -> int:
        """Store the messages in every queue that subscribes to `topic`, all or none.

        When it returns, they are as safe as the broker's durability says. Answers how many
        queues subscribe. A message the queue still holds (same id and topic) is not stored
        again.
        """
        ...

    def send(self, queue: str, messages: Sequence[Message]) -> None:
        """Store the messages in one queue, all or none, under the empty topic."""
        ...

    def receive(
        self,
        *queues: str,
        limit: int = 1,
        wait: float = 0.0,
        visibility: float | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> list[Delivery]:
        """Lend at most `limit` visible messages, hidden for `visibility` seconds.

        Queues are asked in the order given, paused ones not at all; the oldest due messages of a
        queue come first.
        With nothing visible it waits up to `wait` seconds and answers as soon as there is
        something (a long poll), or `stop()` is true after `wake`. `visibility` defaults to
        each queue's own. Every receive makes a new receipt and the older ones stale. A message
        past its queue's `max_receives` is moved to the DLQ instead; one past its retention is
        dropped.
        """
        ...

    def wake(self) -> None:
        """Make parked `receive` calls of this process look at their `stop` again."""
        ...

    def delete(self, entries: Sequence[Finish]) -> list[bool]:
        """Acknowledge: never delivered again. False for a stale receipt, which deletes nothing."""
        ...

    def change_visibility(self, entries: Iterable[tuple[Delivery, float]]) -> list[bool]:
        """Hide each message for so many seconds from now (0: visible at once).

        False when the receipt is stale or the lease has already ended.
        """
        ...

    def give_back(self, deliveries: Sequence[Delivery]) -> list[bool]:
        """Make messages visible at once as if they had not been received: the receive counts
        again what it did before. False for a stale receipt."""
        ...

    def dead_letter(self, entries: Sequence[tuple[Delivery, str]]) -> list[bool]:
        """Move messages to their queue's DLQ with a failure record (JSON text), atomically.

        False for a stale receipt. Raises LimitExceeded when the queue has no DLQ.
        """
        ...

    def finished(self, queue: str, keys: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        """Which of these (id, topic) pairs the queue finished and still remembers."""
        ...

    # ---- operate ----------------------------------------------------------------------------
    def counts(self, queue: str) -> QueueCounts:
        """How much a queue holds."""
        ...

    def next_due(self, *queues: str) -> float | None:
        """When (epoch seconds) the next hidden message becomes visible; None when none will."""
        ...

    def peek(self, queue: str, limit: int = 100, ids: Collection[str] = ()) -> list[Delivery]:
        """Look at messages, oldest first, without receiving them (receipts are empty)."""
        ...

    def redrive(self, queue: str, ids: Collection[str] = (), limit: int = 1000) -> int:
        """Move up to `limit` dead letters of the DLQ `queue` back to the queue each came from.

        They start anew: receive count 0, no failure record, sent now (their retention starts
        over, as on SQS). Answers how many moved; those with
        no known source stay.
        """
        ...

    def purge(self, queue: str, ids: Collection[str] = (), limit: int = 10000) -> int:
        """Delete up to `limit` messages of a queue, in flight or not; answers how many."""
        ...

    def pause(self, queue: str, paused: bool = True) -> None:
        """Let nobody receive from a queue until it is resumed (`paused=False`). Sends go on."""
        ...

    # ---- what workers share -----------------------------------------------------------------
    def allowance(self, name: str, per_second: float) -> float:
        """How many tokens the bucket `name` holds now. It fills at that rate up to a tenth of a
        second's worth, 1 at least; below 0 it was overdrawn."""
        ...

    def spend(self, name: str, per_second: float, tokens: float) -> None:
        """Take tokens from a bucket; it may go below 0, and fills up again from there."""
        ...

    def report(self, worker: WorkerReport) -> None:
        """Remember what a worker says of itself, now."""
        ...

    def retire(self, worker_id: str) -> None:
        """Forget a worker that has stopped."""
        ...

    def workers(self, within: float = 30.0) -> list[WorkerReport]:
        """The workers that reported within so many seconds, by id; older reports are dropped
        for good after ten times that."""
        ...

    def close(self) -> None:
        """Release files and threads. Idempotent. Messages in flight return when their lease
        ends."""
        ...
