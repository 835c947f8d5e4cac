"""Runs: the records beside the messages, looked at, listed and waited for. `apply` writes them."""

from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from taskflow.broker.record import Record, RecordPage, RecordQuery


class Runs(Protocol):
    """Records by kind and key.

    Thread-safe. Every verb raises BrokerUnavailable when the broker cannot be used, and
    TopicNotFound or QueueNotFound for names that were never declared; then nothing was changed.
    """

    def records(self, kind: str, keys: Collection[str]) -> dict[str, Record]:
        """Records by their keys; without those that are not there."""
        ...

    def list_records(self, query: RecordQuery) -> RecordPage:
        """A page of records. Raises LimitExceeded for a limit or a place that cannot be."""
        ...

    def count_records(self, kind: str, label: str | None = None) -> dict[str, int]:
        """How many records of a kind are in each state, of one label if given."""
        ...

    def wait_record(
        self,
        kind: str,
        key: str,
        seen: int,
        wait: float,
        stop: Callable[[], bool] | None = None,
    ) -> Record | None:
        """The record once its version is another than `seen` (0: once it is there); as it is, or
        None, after `wait` seconds or when `stop()` is true after `wake`. A `Put` with `rings`
        wakes who waits at once, in other processes too; others are seen within a second or so."""
        ...

    def wait_records(
        self,
        kind: str,
        seen: Mapping[str, int],
        wait: float,
        stop: Callable[[], bool] | None = None,
    ) -> dict[str, Record | None]:
        """`wait_record` for several at once: those whose version is another than `seen` says (None
        for one that is gone), once there are any; none of them after `wait` seconds or when
        `stop()` is true. Each wake looks at all of them: a hundred or so at a time."""
        ...

    def secure(self) -> None:
        """Return when what was read here so far is as safe as a publish that was answered: who is
        told of a result may act on it."""
        ...

    def holders(self, keys: Collection[str]) -> dict[str, str]:
        """Who has these keys (`change.Take`, `Coordination.hold`); without those that are free."""
        ...
