"""The seam for records: what a store keeps beside messages, inside the same transaction."""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from taskflow.broker.change import Add, Free, Put, Remove, Take
from taskflow.broker.record import Record, RecordQuery


class Records(Protocol):
    """The verbs on records, keys and applied changes. What has expired at `now` is not there."""

    one_writer: bool
    """Whether there is one at a time, so that `lock` need not be called."""

    def lock(self, names: Collection[str]) -> None:
        """These are the caller's until the transaction ends: the ids, keys and records that it is
        about to change, each named with its kind. In any order: they are sorted here."""
        ...

    def find(self, kind: str, keys: Collection[str], now: float) -> dict[str, Record]:
        """Records by key; without those that are not there."""
        ...

    def select(
        self, query: RecordQuery, after: tuple[float, int] | None, now: float
    ) -> list[tuple[int, Record]]:
        """Records in the order asked for, each with its number; from behind `after` on: the
        `due_at` (0 where the order is another) and number of the last one seen."""
        ...

    def count_by_state(self, kind: str, label: str | None, now: float) -> dict[str, int]:
        """How many records there are of each state, of one label if given."""
        ...

    def put(self, put: Put, fresh: int, now: float) -> int:
        """Write a record; answers its version. A new one gets the version `fresh`. Raises
        VersionConflict."""
        ...

    def put_all(
        self, puts: Sequence[Put], fresh: Callable[[], int], now: float
    ) -> list[int] | None:
        """As `put` of each, of which none is of the same record as another, and all expect some
        version; `fresh` is asked for each. None, or VersionConflict, when any is in another one:
        then the caller undoes what was written."""
        ...

    def remove(self, remove: Remove, now: float) -> None:
        """Remove a record. Raises VersionConflict."""
        ...

    def add(self, add: Add, now: float) -> int | None:
        """Add to the count of a record; answers the sum, None when there is no such record."""
        ...

    def take(self, key: str, holder: str, until: float | None, now: float) -> None:
        """Take a key, or take it again. Raises KeyTaken."""
        ...

    def free(self, key: str, holder: str) -> None:
        """Free a key of this holder."""
        ...

    def change_keys(self, keys: Sequence[Take | Free], now: float) -> bool:
        """Take and free keys, each another one; False, or KeyTaken, when any is somebody else's:
        then the caller undoes it."""
        ...

    def holders(self, keys: Collection[str], now: float) -> dict[str, str]:
        """Who has these keys; without those that are free."""
        ...

    def applied(self, id: str, now: float) -> str | None:
        """What was noted of a change by this id."""
        ...

    def note_applied(self, id: str, answer: str, expires_at: float) -> None:
        """Note that a change was applied, until then."""
        ...

    def expire(self, now: float, limit: int) -> int:
        """Remove up to `limit` records, keys and notes that have expired; answers how many."""
        ...
