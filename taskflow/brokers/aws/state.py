"""State: where the AWS broker keeps what SQS cannot: records, keys, counters and ids of changes."""

from collections.abc import Sequence
from typing import Protocol

from taskflow.broker.change import Applied, Change
from taskflow.broker.runs import Runs


class State(Runs, Protocol):
    """Thread-safe. Every verb raises BrokerUnavailable when the place cannot be used.

    `LocalState` has it in memory or in a file, `RemoteState` where hosts share it."""

    def apply(self, changes: Sequence[Change], durable: bool = True) -> list[Applied]:
        """As `Traffic.apply`, for changes that have no fence, sends nor settlements."""
        ...

    def was_applied(self, id: str) -> bool:
        """Whether a change by this id was made, and is remembered."""
        ...

    def upkeep(self, limit: int) -> bool:
        """Remove what has expired, so many at most; whether there is more to do at once."""
        ...

    def wake(self) -> None:
        """Let who waits for a record look whether it is to stop."""
        ...

    def close(self) -> None:
        """Let go of what is open. Idempotent."""
        ...
