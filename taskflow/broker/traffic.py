"""Traffic: what publishers, workers and the wire server do with messages."""

from collections.abc import Callable, Collection, Iterable, Sequence
from random import Random
from typing import Protocol

from taskflow.broker.change import Applied, Change
from taskflow.broker.features import Features
from taskflow.broker.settings import Economy, Finish, Holding, Lease, Published, Sent
from taskflow.clock import Clock
from taskflow.message import Delivery, Message


class Traffic(Protocol):
    """Topics that fan out to queues, and queues that lend their messages.

    Thread-safe. Every verb raises BrokerUnavailable when the broker cannot be used, and
    TopicNotFound or QueueNotFound for names that were never declared; then nothing was changed.
    (One exception: a publish whose wait for the disk failed may be stored. Repeating it with the
    same ids is safe.)
    Names are checked by `check_stored_topic` and `check_queue` of `taskflow.limits`, which raise
    InvalidName, when they are declared. Batches answer entry by entry, in order. Receipts are text
    that only the broker that made them can read; one that nobody made is stale.
    """

    clock: Clock
    random: Random
    max_message_bytes: int  # the largest message it takes, if its queue does
    economy: Economy
    features: Features

    def publish(
        self,
        topic: str,
        messages: Sequence[Message],
        *,
        connection: object = None,
        hold_group: bool = False,
    ) -> Published:
        """Store the messages in every queue that subscribes to `topic` and whose filter policy
        they match, all or none.

        When it returns, they are as safe as the broker's durability says. A message the queue
        still holds (same id and topic) is not stored again (`features.duplicates`). Raises
        LimitExceeded for one larger than its queue takes, and for one whose delay outlives its
        queue's retention; then nothing is stored anywhere. What a queue that was deleted would get
        goes to the subscription's `dead_letter_queue`, if there is one.

        A FIFO topic wants a group and a deduplication id (or content-based deduplication: SHA-256
        of the body) of each message, and hands both to its FIFO queues; one that was published
        within the last five minutes is not published again, and answered as the first one was.

        With `connection`, an open one to the broker's own database, they are stored within its
        transaction, and are there when that is committed (`features.connections`); what its driver
        raises comes as it is. Raises ConfigError when the broker cannot do so, for another
        database, where no transaction is open, and for a FIFO topic: its message groups would stand
        still until the transaction ends, which `hold_group` says is meant.
        """
        ...

    def send(
        self,
        queue: str,
        messages: Sequence[Message],
        *,
        connection: object = None,
        hold_group: bool = False,
    ) -> list[Sent]:
        """Store the messages in one queue, all or none, under the empty topic. Limits and what is
        held already are as in `publish`, as are `connection` and `hold_group`; FIFO queues want and
        do as FIFO topics do."""
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

        Queues are asked in the order given, paused ones not at all; of a queue what has been due
        longest comes first. Raises LimitExceeded for no queue, a limit below 1, a wait below 0 and
        a visibility outside 0 to 43,200 (`check_receive`).
        With nothing visible it waits up to `wait` seconds and answers as soon as there is
        something (a long poll), or `stop()` is true after `wake`. `visibility` defaults to
        each queue's own. Every receive makes a new receipt and the older ones stale. A message
        past its queue's `max_receives` is moved to the DLQ instead, if that is there, as
        `dead_letter` moves it, with a failure record whose `reason` says that it was never
        finished, and whose `attempts` is its receive count; one past its retention is dropped.

        Of a FIFO queue no message is lent while an earlier one of its group is hidden; one
        receive may lend several of a group, in order. A receive with the same `attempt` id within
        five minutes lends the same messages again with the same receipts, unless one of them was
        settled, hidden anew or has become visible. Of a standard queue, message groups that have
        30 and more than a tenth of the messages in flight come after the others. With 120,000 in
        flight, a standard queue raises OverLimit and a FIFO queue has nothing to lend.

        A worker says what it is `holding`, since to it an attempt is a start, not a receive. A
        message whose lease lapsed is then a suspect: it is lent alone, and not while another one
        is held; those of a standard queue that were taken beside others come together once, and are
        suspects when that lapses too. A lease that lapses counts as a receive for a suspect, and
        for a message that a worker took while it held nothing and got nothing else; for all others
        the next receive does not count. So a message that kills its worker takes no attempt from
        those received with it. (AWS counts receives, whoever asks.)
        """
        ...

    def wake(self) -> None:
        """Make parked `receive` calls of this process look at their `stop` again."""
        ...

    def delete(self, entries: Sequence[Finish], *, fence: bool = True) -> list[bool]:
        """Acknowledge: never delivered again. False for a stale receipt, which deletes nothing;
        on a FIFO queue also for one whose lease has ended. Without `fence`, a stale receipt does
        as well as the latest on a standard queue: SQS takes both, a worker must not."""
        ...

    def leases(self, deliveries: Sequence[Delivery]) -> list[Lease]:
        """How each receipt stands."""
        ...

    def received_at(self, receipts: Sequence[str]) -> list[float | None]:
        """When each receipt was given (epoch seconds, to the millisecond); None for text that is
        no receipt of this broker. Asks nobody."""
        ...

    def change_visibility(
        self, entries: Iterable[tuple[Delivery, float]], *, fence: bool = True
    ) -> list[bool]:
        """Hide each message for so many seconds from now (0: visible at once).

        `Delivery.visible_at` is set. False when the receipt is stale or the lease has already
        ended. Raises LimitExceeded for less than 0. `fence` as in `delete`.
        """
        ...

    def extend(self, entries: Sequence[tuple[Delivery, float]]) -> list[bool]:
        """As `change_visibility`, for messages that are being run: their claims last as long."""
        ...

    def give_back(self, deliveries: Sequence[Delivery]) -> list[bool]:
        """Make messages visible at once as if they had not been received: the receive counts
        again what it did before. The receipt is stale then. False for a stale receipt."""
        ...

    def dead_letter(self, entries: Sequence[tuple[Delivery, str]]) -> list[bool]:
        """Move messages to their queue's DLQ with a failure record (JSON text), atomically.

        A letter is visible at once and was never received; it keeps id, topic, body and
        `sent_at`, has the record as its attribute `message.FAILURE`, names its `source`, and
        replaces one of the same id and topic (`features.duplicates`). False for a stale receipt.
        Raises LimitExceeded when the queue has no DLQ, QueueNotFound when that is gone.
        """
        ...

    def apply(
        self,
        changes: Sequence[Change],
        durable: bool = True,
        *,
        connection: object = None,
        hold_group: bool = False,
    ) -> list[Applied]:
        """Make each change as one: all of it, or nothing (`taskflow.broker.change`).

        They are made in the order given, and one that is refused keeps no other from being made.
        With `durable` it waits, as `publish` does, until what was made is as safe as the broker's
        durability says. A broker that cannot do so says it in `features.atomic`. One without
        `features.runs` refuses keys, records and counters with LimitExceeded. `connection` and
        `hold_group` are as in `publish`: the changes are part of that transaction then, and only
        add; one with anything but sends, publishes and records that are new (`expected=0`) raises
        ConfigError.
        """
        ...

    def next_due(self, *queues: str) -> float | None:
        """When (epoch seconds) the next hidden message becomes visible; None when none will."""
        ...

    def watch(self, heard: Callable[[Collection[str]], None]) -> None:
        """Call `heard(queues)`, from any thread, when these queues may have something new."""
        ...

    def hurry(self) -> None:
        """This process is leaving: from now on no verb waits more than a second for a lock that
        somebody else holds, one that waits now included. Idempotent."""
        ...

    def close(self) -> None:
        """Release files and threads. Idempotent. Messages in flight return when their lease
        ends."""
        ...
