"""The seam for what is handed over to another store: rows as they are, and what is remembered."""

from collections.abc import Collection, Sequence
from typing import Protocol

from taskflow.broker.record import Record
from taskflow.stores.row import QueueRow, Row


class HandoverRows(Protocol):
    """The verbs by which rows leave one store and come into another."""

    def page(
        self, queue: QueueRow, after: int, limit: int, now: float
    ) -> tuple[list[Row], int | None]:
        """Rows of a queue in the order in which they were stored, from behind the number `after`
        on, and the number of the last that was looked at; None at the end. They are the caller's
        until the transaction ends; those that another one has are passed over."""
        ...

    def hide(self, queue: int, seqs: Collection[int], receipt: int, until: float) -> None:
        """Hide rows that are the caller's until then, or longer if they were, under a receipt."""
        ...

    def add(self, queue: QueueRow, rows: Sequence[Row], now: float) -> None:
        """Append rows as they are, but for their numbers; those that the queue holds are left out.
        `source` is that of this store."""
        ...

    def finished(
        self, queue: int, last: tuple[str, str], limit: int, now: float
    ) -> list[tuple[str, str, float]]:
        """(id, topic, expires_at) of what is remembered as finished, from behind `last` on."""
        ...

    def remember(self, queue: int, entries: Sequence[tuple[str, str, float]]) -> None:
        """Remember as finished, at least so long."""
        ...

    def deduplications(
        self, owner: str, last: tuple[str, str], limit: int, now: float
    ) -> list[tuple[str, str, str, int, float]]:
        """(scope, key, id, number, expires_at) by which an owner (`queue:1`, `topic:NAME`)
        deduplicates, in all or in each group (`queue:1/GROUP`), from behind `last` on."""
        ...

    def deduplicate(self, entries: Sequence[tuple[str, str, str, int, float]], now: float) -> None:
        """Record those of which there is none."""
        ...

    # trees of records
    def had(self, queue: QueueRow, seqs: Collection[int]) -> list[Row]:
        """The rows of these numbers, in order: the caller's until the transaction ends. Those that
        another one has are left out."""
        ...

    def before(self, queue: int, lane: str, seq: int, most: int) -> int:
        """How many rows of a group stand before this one; counts no further than `most`."""
        ...

    def holdings(self, keys: Collection[str], now: float) -> dict[str, tuple[str, float | None]]:
        """Who has these keys, and until when; without those that are free."""
        ...

    def restore(self, records: Sequence[Record]) -> None:
        """Write records as they are, with their versions, counts and times, in this order. One that
        is there is replaced."""
        ...

    def forget(self, records: Sequence[Record]) -> None:
        """Remove records, in whichever version they are."""
        ...
