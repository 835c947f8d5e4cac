"""The verbs on rows, inside one transaction: the seam under the stored broker.

They know no SNS or SQS rule and read no clock. A new store (PostgreSQL, say) implements them;
`taskflow.testing.contract` says what a broker over it must do.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol, TypeVar

from taskflow.broker.settings import Lease
from taskflow.message import Message
from taskflow.stores.declared import Declared
from taskflow.stores.finder import Place, Search, Slice
from taskflow.stores.handover import HandoverRows
from taskflow.stores.letters import Letters
from taskflow.stores.records import Records
from taskflow.stores.row import (
    Ask,
    Counted,
    Held,
    Kinds,
    Lent,
    Lone,
    Moved,
    QueueRow,
    Row,
)

T = TypeVar("T")


class Outdated(Exception):
    """A queue's row, as it was read in an earlier transaction, is no longer how it is: nothing was
    done by it. To be read again."""


class Rows(Declared, Protocol):
    """The verbs inside one transaction: here those on messages, and what workers and servers share.

    One rule for all: what is asked in order to be written is the asker's until the transaction
    ends. A store with one writer keeps it by itself; another locks what it answers.
    """

    @property
    def records(self) -> Records:
        """The verbs on what lies beside the messages."""
        ...

    @property
    def letters(self) -> Letters:
        """The verbs on dead letters by cause."""
        ...

    @property
    def handover(self) -> HandoverRows:
        """The verbs by which rows leave for another store and come in from one."""
        ...

    def undoing(self, work: Callable[[], T]) -> T:
        """Run `work`; when it raises, what it did is undone, and the transaction goes on."""
        ...

    # messages
    def add(
        self, queue: QueueRow, topic: str, messages: Sequence[Message], now: float
    ) -> list[int]:
        """Append messages, due after their own delay or the queue's; answers a number for each:
        they rise, perhaps with gaps.

        One that the queue holds already (id and topic) is left out.
        """
        ...

    def add_to_many(
        self,
        topic: str,
        entries: Sequence[tuple[QueueRow, Sequence[tuple[int, Message]]]],
        now: float,
    ) -> list[list[int]]:
        """As `add` to each of several queues; answers the numbers in each. Each message comes with
        its place among all that are published: in a queue they rise with it. A message (the
        same object) that goes to several is stored once: `sweep` removes it when none holds it."""
        ...

    def sweep(self, limit: int) -> int:
        """Look at `limit` messages that several queues were to hold, where the last look ended,
        and remove what none holds any more; answers how many were removed."""
        ...

    def lend(self, queue: QueueRow, ask: Ask, now: float) -> Lent:
        """Find due rows and hide them, at once: nobody else is lent them. Earliest first; of a FIFO
        queue whole groups, in order, up to their first hidden row. Rows that others hold at the
        moment are passed over: few or none do not mean that the queue is empty. Of many past their
        retention some are dropped. Raises Outdated, where that can be."""
        ...

    def lend_lone(
        self, queue: QueueRow, receipt: int, until: float, kept_from: float, now: float
    ) -> Lone | None:
        """Lend the only row of a standard queue that is due, as `lend` does, if it was never
        received, is no dead letter and was sent after `kept_from`. None when there is no such row,
        or another one too, or declarations may have changed since `queue` was read. A step of its
        own (`Store.step`)."""
        ...

    def due(self, queue: QueueRow, now: float, limit: int) -> list[Row]:
        """Rows that may be received, as `lend` finds them; they stay as they are, and are the
        caller's until the transaction ends."""
        ...

    def kinds(self, queue: int) -> Kinds:
        """What a standard queue holds beside plain messages."""
        ...

    def unpark(self, queue: int, slots: Sequence[str]) -> bool:
        """For each of these slots, which may be named several times, make one parked row of
        each level due again; whether there was one."""
        ...

    def parked(self, after: tuple[int, str], limit: int) -> list[tuple[int, str]]:
        """Queues (by number) and slots for which rows are parked: those after that one, in order,
        `limit` at most."""
        ...

    def tenants_in_flight(self, queue: int, now: float) -> dict[str, int]:
        """How many hidden rows each message group of a standard queue has."""
        ...

    def glance(self, queue: QueueRow, now: float) -> int:
        """What `lend` may find: 0 for nothing, 1 for a row that `lend_lone` may lend, 2 for more or
        another one. A store in which an empty `lend` costs nobody anything may say 2 unasked."""
        ...

    def next_due(self, queue: QueueRow, now: float) -> float | None:
        """When, after `now`, `lend` will have more, without what another transaction has."""
        ...

    def count_due(self, queue: QueueRow, now: float, most: int) -> int:
        """How many rows `lend` could find, of a FIFO queue how many groups; counts no further than
        `most`."""
        ...

    def delay_again(self, queue: int, delay: float) -> None:
        """Make rows never received due that long after they were sent."""
        ...

    def count_in_flight(self, queue: int, now: float, most: int) -> int:
        """How many rows are received and hidden; counts no further than `most`."""
        ...

    def extend(self, queue: int, seqs: Sequence[int], until: float) -> None:
        """Hide held rows until then, whatever their receipt."""
        ...

    def find(self, queue: int, held: Sequence[Held]) -> list[Row | None]:
        """The rows that still carry these receipts, None where one does not; they are the caller's
        until the transaction ends."""
        ...

    def leases(self, queue: int, held: Sequence[Held], now: float) -> list[Lease]:
        """How each receipt stands."""
        ...

    def fence(self, queue: int, held: Held, now: float) -> Lease:
        """How a receipt stands; its row stays so until the transaction ends."""
        ...

    def remove(
        self,
        queue: int,
        held: Sequence[Held],
        hidden_at: float | None,
        remember: Sequence[tuple[str, str, float] | None],
        now: float,
    ) -> list[bool]:
        """Delete rows that still carry the receipt; with `hidden_at`, only those hidden then. Of
        each deleted one its (id, topic, expires_at) is remembered as finished, if it has such."""
        ...

    def drop_old(self, queue: int, seqs: Collection[int]) -> None:
        """Remove rows past their retention, counted as `expired`."""
        ...

    def drop(self, queue: int, seqs: Collection[int]) -> int:
        """Remove rows whatever their receipt; answers how many."""
        ...

    def hide(
        self, queue: int, held: Sequence[tuple[Held, float]], now: float, spoken: bool
    ) -> list[bool]:
        """Set `visible_at` of rows that are hidden now and still carry the receipt; `spoken` says
        whether their holder is done with them (SPOKEN)."""
        ...

    def release(
        self, queue: int, held: Sequence[Held], now: float, slot: str | None = None
    ) -> list[bool]:
        """Visible now, one receive less, no receipt; from now on of that slot, if one is given."""
        ...

    def move(self, queue: int, rows: Sequence[Moved], now: float) -> list[bool]:
        """Append rows, as given, to other queues as never received and due now. A row there with
        the same id and topic is replaced. False for one that is not there any more."""
        ...

    def select(self, queue: int, ids: Collection[str], limit: int) -> list[Row]:
        """Rows in the order they were stored; only those ids, when any are given."""
        ...

    def search(self, search: Search, after: Place | None, limit: int) -> Slice:
        """The next rows that fit, in all queues or some; it looks at so many (`finder.BOUND`)."""
        ...

    # bookkeeping
    def any_gone(self, now: float) -> bool:
        """Whether `forget`, `sweep` or `records.expire` may have something to remove."""
        ...

    def forget(self, now: float, limit: int) -> int:
        """Remove up to `limit` each of finished records, deduplications and attempts that have
        expired; answers how many."""
        ...

    def remembered(
        self, queue: int, keys: Collection[tuple[str, str]], now: float
    ) -> set[tuple[str, str]]: ...
    def tally(self, queue: int, handled: int, dead_lettered: int) -> None:
        """Add to the queue's totals, perhaps within a second."""
        ...

    def any_sent_before(self, queue: int, sent_before: float) -> bool:
        """Whether the first row of a queue was sent at or before then."""
        ...

    def expire(self, queue: int, sent_before: float) -> None:
        """Drop those of the oldest 1000 rows that were sent at or before then; they are counted,
        and said in the log once."""
        ...

    def counts(self, queues: Sequence[tuple[int, float]], now: float) -> list[Counted]:
        """Of each of these queues, what was sent to it after then, and its totals."""
        ...

    # FIFO
    def deduplicated(
        self, keys: Sequence[tuple[str, str]], now: float
    ) -> dict[tuple[str, str], tuple[str, int]]:
        """(id, number) of the messages that these (scope, key) stand for within the window. Keys
        that stand for none are the caller's: another who asks waits."""
        ...

    def deduplicate(
        self, entries: Sequence[tuple[str, str, str, int]], expires_at: float, now: float
    ) -> None:
        """Record (scope, key, id, number)."""
        ...

    def attempted(self, queue: int, attempt: str, now: float) -> tuple[int, list[Row]] | None:
        """Receipt and rows of a receive that may be answered again; None when there is none, or
        one of the rows was deleted, hidden anew, received or visible since."""
        ...

    def remember_attempt(
        self,
        queue: int,
        attempt: str,
        receipt: int,
        seqs: Sequence[int],
        until: float,
        expires_at: float,
        now: float,
    ) -> None: ...

    # what workers and servers share
    def identity(self) -> dict[str, str]:
        """What the wire server noted of itself."""
        ...

    def put_identity(self, values: Mapping[str, str]) -> None: ...
    def bucket(self, name: str) -> tuple[float, float] | None:
        """(tokens, at) of a token bucket, as last written."""
        ...

    def draw(self, name: str, per_second: float, tokens: float, now: float) -> float:
        """Fill a token bucket up to now (`coordination.buckets`), take tokens; answers what is
        left."""
        ...

    def put_worker(self, id: str, seen_at: float, report: str) -> None: ...
    def drop_worker(self, id: str) -> None: ...
    def workers(self) -> list[tuple[str, float, str]]:
        """(id, seen_at, report) of all, sorted."""
        ...
