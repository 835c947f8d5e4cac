"""What a store may do beside its protocol: keep a checkpoint in one step."""

from typing import Protocol, runtime_checkable

from taskflow.broker.change import Put
from taskflow.stores.row import Held, QueueRow


class PlainKeeping(Protocol):
    """Writes one record that is new, which has no state and stays, and perhaps replaces another one
    that stays, while a row of a standard queue is held. It stores what the general way stores, and
    declines, with False, what it does not know for certain: then nothing was stored."""

    def knows(self, queue: str) -> bool:
        """Whether it was told of a queue."""
        ...

    def learn(self, queue: QueueRow) -> None:
        """A queue as it is now."""
        ...

    def prepare(self) -> None:
        """Do what must be done once, in no transaction: before it everything is declined."""
        ...

    def keep(
        self, queue: str, held: Held, now: float, version: int, new: Put, other: Put | None
    ) -> bool:
        """Keep `new`, in this version, and `other`, in place of the version that it expects.
        Committed when this returns, and not waited for."""
        ...

    def keep_within(
        self, queue: str, held: Held, now: float, version: int, new: Put, other: Put | None
    ) -> bool:
        """As a part of the transaction that the caller is in."""
        ...


@runtime_checkable
class KeepsPlain(Protocol):
    """A store that has such a way."""

    def plain_keeping(self) -> PlainKeeping:
        """A new one."""
        ...
