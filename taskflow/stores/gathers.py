"""Several calls as one transaction: what a store over a file of this machine can do, too."""

from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self, runtime_checkable


class Gathering(Protocol):
    """A block of calls of this thread, each a part by itself of one transaction, which the first
    that changes something begins. An error of a call undoes that call, one of the block all of it.
    """

    wait: Callable[[], None] | None
    """What must be called, in a thread that may wait, after the block and before anybody is told:
    until it returns, what was stored is not as safe as it shall be."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def abandon(self, error: BaseException) -> None:
        """Call it when an error has come out of the block, or before it: Ctrl-C may have come while
        that began or ended, and nothing of it stays."""
        ...

    def begin_call(self) -> None:
        """Another call follows."""
        ...

    def broken(self) -> bool:
        """Whether all of it is undone already, as happens when the disk is full: then the block
        must end with an error."""
        ...


@runtime_checkable
class Gathers(Protocol):
    """A store that can."""

    def gathering(self, patience: float | None) -> Gathering:
        """A new block. WouldWait comes out of it, and all is undone, when a lock is not to be had
        within so many seconds; None is for an event loop, which waits a moment at most, and takes
        no call that does more than a few rows' work."""
        ...
