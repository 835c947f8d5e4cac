"""RecordStore: the contract of a place where hosts share records, keys and ids of changes.

It reads, and it writes if nothing of what was read has changed since. What a change means is said
once, in `change_plan`, for every place: `sql_record_store`, DynamoDB beside the AWS client.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from taskflow.broker.record import Record, RecordQuery

RecordName = tuple[str, str]
"""Kind and key of a record."""


class Contended(Exception):
    """Somebody else changed what was read before it was written: nothing was, and it may be tried
    again at once. No error, but an answer."""


class Kept(msgspec.Struct, frozen=True):
    """A record as a place keeps it; `number` is its turn in the order of creation."""

    record: Record
    number: int


class Holding(NamedTuple):
    """Who has a key, until then (epoch seconds), or for good."""

    holder: str
    until: float | None


class Note(NamedTuple):
    """What was answered to a change that has an id; forgotten then (epoch seconds)."""

    answer: str
    expires_at: float


class Names(NamedTuple):
    """What is looked at: each once, sorted, so that two who lock them never wait in a ring."""

    records: Sequence[RecordName] = ()
    keys: Sequence[str] = ()
    changes: Sequence[str] = ()


class Things(msgspec.Struct):
    """Records, keys and notes by name: what there is, as it lies there, expired or not. As what is
    to be written: None removes what there is."""

    records: dict[RecordName, Kept | None] = msgspec.field(default_factory=dict)
    keys: dict[str, Holding | None] = msgspec.field(default_factory=dict)
    changes: dict[str, Note | None] = msgspec.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.records) + len(self.keys) + len(self.changes)


class RecordStore(Protocol):
    """Thread-safe. Every verb raises BrokerUnavailable when the place cannot be used; then nothing
    was changed, or, if its answer was lost, all of it."""

    def read(self, names: Names) -> Things:
        """What there is of these now, without those that are not there."""
        ...

    def change(self, names: Names, decide: Callable[[Things], Things]) -> None:
        """Read these, and write what `decide` answers: all of it or nothing. It is called once, and
        what it raises is raised; then nothing is written. Raises Contended when something that it
        saw is another now, and LimitExceeded for what the place cannot keep."""
        ...

    def select(
        self, query: RecordQuery, after: tuple[float, int] | None, now: float
    ) -> Sequence[Kept]:
        """Records in the order asked for that have not expired at `now`, `query.limit` at most;
        fewer are the last. From behind `after` on: the `due_at` (0 where the order is another) and
        the number of the last one seen."""
        ...

    def count_by_state(self, kind: str, label: str | None, now: float) -> dict[str, int]:
        """How many records there are of each state, of one label if given."""
        ...

    def expire(self, now: float, limit: int) -> int:
        """Remove up to `limit` each of records, keys and notes that have expired; answers how many
        went. 0 where the place does that by itself."""
        ...

    def close(self) -> None:
        """Let go of what is open. Idempotent."""
        ...
