"""The Broker protocol: the verbs of SNS and SQS. These docstrings are the specification.

`tests/contract` tests every sentence below over every broker.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from random import Random
from typing import Protocol

from taskflow.broker.settings import (
    Claim,
    Described,
    Economy,
    Finish,
    Holding,
    Lease,
    MoveTask,
    Published,
    QueueCounts,
    QueueSettings,
    Sent,
    TopicSettings,
    TopicSubscription,
    WorkerReport,
)
from taskflow.clock import Clock
from taskflow.message import Delivery, Message


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
    max_message_bytes: int  # the largest message it takes, if its queue does
    economy: Economy

    # ---- declare ----------------------------------------------------------------------------
    def alone(self) -> AbstractContextManager[None]:
        """Inside the block this thread's verbs that declare and look are one change: nobody's
        come in between, of this process or another, and an error undoes them. Keep it short."""
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
        queue must exist first, be of the same kind, and allow it."""
        ...

    def set_queue(self, name: str, settings: QueueSettings) -> None:
        """Replace the settings of a queue. Messages that wait keep what they were given, but for
        the delay of a FIFO queue, which counts for those never received too."""
        ...

    def delete_queue(self, name: str) -> None:
        """Remove a queue and all it holds. Raises QueueNotFound. Its subscriptions stay, and
        deliver again when a queue of this name is made."""
        ...

    def subscribe(self, topic: str, queue: str) -> None:
        """Fan messages of `topic` out to `queue` from now on, raw. Idempotent."""
        ...

    def put_subscription(self, subscription: TopicSubscription) -> None:
        """Add a subscription, or replace the one with the same id. Takes effect at once.

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

    # ---- traffic ----------------------------------------------------------------------------
    def publish(self, topic: str, messages: Sequence[Message]) -> Published:
        """Store the messages in every queue that subscribes to `topic` and whose filter policy
        they match, all or none.

        When it returns, they are as safe as the broker's durability says. A message the queue
        still holds (same id and topic) is not stored again. A FIFO topic wants a group and a
        deduplication id (or content-based deduplication: SHA-256 of the body) of each message,
        and hands both to its FIFO queues; one that was published within the last five minutes
        is not published again, and answered as the first one was.
        """
        ...

    def send(self, queue: str, messages: Sequence[Message]) -> list[Sent]:
        """Store the messages in one queue, all or none, under the empty topic. FIFO queues want
        and do as FIFO topics do."""
        ...

    def receive(
        self,
        *queues: str,
        limit: int = 1,
        wait: float = 0.0,
        visibility: float | None = None,
        stop: Callable[[], bool] | None = None,
        attempt: str | None = None,
        holding: Holding | None = None,
    ) -> list[Delivery]:
        """Lend at most `limit` visible messages, hidden for `visibility` seconds.

        Queues are asked in the order given, paused ones not at all; the oldest due messages of a
        queue come first.
        With nothing visible it waits up to `wait` seconds and answers as soon as there is
        something (a long poll), or `stop()` is true after `wake`. `visibility` defaults to
        each queue's own. Every receive makes a new receipt and the older ones stale. A message
        past its queue's `max_receives` is moved to the DLQ instead; one past its retention is
        dropped.

        Of a FIFO queue no message is lent while an earlier one of its group is hidden; one
        receive may lend several of a group, in order. A receive with the same `attempt` id within
        five minutes lends the same messages again with the same receipts, unless one of them was
        settled, hidden anew or has become visible. Of a standard queue, message groups that have
        30 and more than a tenth of the messages in flight come after the others. With 120,000 in
        flight, a standard queue raises OverLimit and a FIFO queue has nothing to lend.

        A worker says what it is `holding`, since to it an attempt is a start, not a receive. A
        message whose lease lapsed is then a suspect: it is lent alone, and not while another one
        is held. A lease that lapses counts as a receive for a suspect, and for a message that a
        worker took while it held nothing and got nothing else; for all others the next receive
        does not count. So a message that kills its worker takes no attempt from those received
        with it. (AWS counts receives, whoever asks.)
        """
        ...

    def wake(self) -> None:
        """Make parked `receive` calls of this process look at their `stop` again."""
        ...

    def delete(self, entries: Sequence[Finish], older: bool = False) -> list[bool]:
        """Acknowledge: never delivered again. False for a stale receipt, which deletes nothing;
        on a FIFO queue also for one whose lease has ended. With `older`, a stale receipt does as
        well as the latest on a standard queue: SQS takes both, a worker must not."""
        ...

    def leases(self, deliveries: Sequence[Delivery]) -> list[Lease]:
        """How each receipt stands."""
        ...

    def change_visibility(
        self, entries: Iterable[tuple[Delivery, float]], older: bool = False
    ) -> list[bool]:
        """Hide each message for so many seconds from now (0: visible at once).

        False when the receipt is stale or the lease has already ended. `older` as in `delete`.
        """
        ...

    def extend(self, entries: Sequence[tuple[Delivery, float]]) -> list[bool]:
        """As `change_visibility`, for messages that are being run: their claims last as long."""
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

    def claim(self, deliveries: Sequence[Delivery]) -> list[Claim]:
        """Ask to run these events, each once: "finished" for one that its queue finished and still
        remembers. "running" for one that is being run from another receipt; it is hidden until
        that lease ends, and is no longer the caller's. Else "free": it is claimed for as long as
        its lease lasts, is extended with it, and until it is settled or hidden anew. Nothing is
        claimed when it raises."""
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

    def watch(self, heard: Callable[[Collection[str]], None]) -> None:
        """Call `heard(queues)`, from any thread, when these queues may have something new."""
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

    def hurry(self) -> None:
        """This process is leaving: from now on no verb waits more than a second for a lock that
        somebody else holds, one that waits now included. Idempotent."""
        ...

    def identity(self) -> dict[str, str]:
        """What the wire server noted of itself: account, region, address, signing key."""
        ...

    def set_identity(self, values: Mapping[str, str]) -> None:
        """Note it, for whoever writes an SNS envelope into a queue of this broker."""
        ...

    def close(self) -> None:
        """Release files and threads. Idempotent. Messages in flight return when their lease
        ends."""
        ...
