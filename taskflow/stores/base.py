"""The seam under the embedded broker: a store keeps rows and is handed `now`.

It knows no SNS or SQS rule and reads no clock. A new store (PostgreSQL, say) implements these
verbs; `tests/contract` says what a broker over it must do.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from taskflow.broker import QueueSettings
from taskflow.message import Message


class QueueRow(NamedTuple):
    """A queue as stored."""

    id: int
    name: str
    paused: bool
    settings: QueueSettings


class Row(NamedTuple):
    """One stored message. `source` is the id of the queue a dead letter came from."""

    seq: int
    id: str
    topic: str
    receive_count: int
    first_received_at: float | None
    sent_at: float
    visible_at: float
    source: int | None
    body: str
    attributes: str


class Held(NamedTuple):
    """A claim on a row: its number, and the receipt it must still carry."""

    seq: int
    receipt: int


class Rows(Protocol):
    """The verbs inside one transaction."""

    # declarations
    def topics(self) -> list[str]: ...
    def add_topic(self, name: str) -> None: ...
    def queues(self) -> list[str]: ...
    def queue(self, name: str) -> QueueRow | None: ...
    def put_queue(self, name: str, settings: QueueSettings) -> None:
        """Add the queue or replace its settings."""
        ...

    def pause_queue(self, name: str, paused: bool) -> None: ...
    def subscriptions(self) -> list[tuple[str, str]]: ...
    def add_subscription(self, topic: str, queue: int) -> None: ...
    def subscribed(self, topic: str) -> list[QueueRow]: ...

    # messages
    def add(self, queue: QueueRow, topic: str, messages: Sequence[Message], now: float) -> int:
        """Append messages, due after their own delay or the queue's; answers how many.

        One that the queue holds already (id and topic) is left out.
        """
        ...

    def due(self, queue: int, now: float, limit: int) -> list[Row]:
        """Rows with `visible_at <= now`, earliest first."""
        ...

    def any_due(self, queue: int, now: float) -> bool: ...
    def next_due(self, queue: int, now: float) -> float | None:
        """The least `visible_at` after `now`."""
        ...

    def hold(self, queue: int, seqs: Sequence[int], receipt: int, until: float, now: float) -> None:
        """Hide rows until then under a new receipt and count one receive more."""
        ...

    def find(self, queue: int, held: Sequence[Held]) -> list[Row | None]:
        """The rows that still carry these receipts, None where one does not."""
        ...

    def remove(self, queue: int, held: Sequence[Held]) -> list[bool]: ...
    def drop(self, queue: int, seqs: Collection[int]) -> None:
        """Remove rows whatever their receipt."""
        ...

    def hide(self, queue: int, held: Sequence[tuple[Held, float]], now: float) -> list[bool]:
        """Set `visible_at` of rows that are hidden now and still carry the receipt."""
        ...

    def release(self, queue: int, held: Sequence[Held], now: float) -> list[bool]:
        """Visible now, one receive less, no receipt."""
        ...

    def move(self, queue: int, row: Row, to: QueueRow, source: int | None, now: float) -> None:
        """Append a row, as given, to another queue as never received and due now; `source` is
        the queue to remember. A row there with the same id and topic is replaced."""
        ...

    def select(self, queue: int, ids: Collection[str], limit: int) -> list[Row]:
        """Rows in the order they were stored; only those ids, when any are given."""
        ...

    # bookkeeping
    def remember(self, queue: int, keys: Sequence[tuple[str, str, float]], now: float) -> None:
        """Record (id, topic, expires_at) as finished, and forget a few expired records."""
        ...

    def remembered(
        self, queue: int, keys: Collection[tuple[str, str]], now: float
    ) -> set[tuple[str, str]]: ...
    def tally(self, queue: int, handled: int, dead_lettered: int) -> None:
        """Add to the queue's totals."""
        ...

    def expire(self, queue: int, sent_before: float) -> None:
        """Drop those of the oldest 1000 rows that were sent at or before then."""
        ...

    def counts(
        self, queue: int, now: float, sent_after: float
    ) -> tuple[int, int, int, float | None, int, int]:
        """Of the rows sent after then: visible, in flight, delayed, oldest sent_at; and the
        totals: handled, dead-lettered."""
        ...

    # what workers share
    def bucket(self, name: str) -> tuple[float, float] | None:
        """(tokens, at) of a token bucket, as last written."""
        ...

    def put_bucket(self, name: str, tokens: float, at: float) -> None: ...
    def put_worker(self, id: str, seen_at: float, report: str) -> None: ...
    def drop_worker(self, id: str) -> None: ...
    def workers(self) -> list[tuple[str, float, str]]:
        """(id, seen_at, report) of all, sorted."""
        ...


class Store(Protocol):
    """A place for rows, shared by threads and perhaps by processes."""

    poll_interval: float | None
    """Look again this often (seconds) while waiting; None when nobody else can write."""

    def write(self) -> AbstractContextManager[Rows]:
        """One transaction: committed at the end of the block, undone by an exception."""
        ...

    def read(self) -> AbstractContextManager[Rows]:
        """Look without locking out writers."""
        ...

    def sync(self) -> None:
        """Return when everything committed so far survives a power cut, if the store was asked
        for that."""
        ...

    def ring(self, queues: Collection[str]) -> None:
        """Tell listeners in other processes that these queues have something new."""
        ...

    def listen(self, heard: Callable[[Collection[str]], None]) -> None:
        """Call `heard` from another thread when another process rings."""
        ...

    def close(self) -> None: ...
