"""What a store may do beside its protocol: be a part of a transaction of the application's."""

from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

from taskflow.stores.rows import Rows

T = TypeVar("T")


@runtime_checkable
class Joinable(Protocol):
    """A store whose database an application may have open itself."""

    def join(
        self, connection: object, work: Callable[[Rows], T], committed: Callable[[T], None]
    ) -> T:
        """Run `work` in the transaction that `connection` has open, and leave it open: what it adds
        is there when that is committed. `work` only adds, and may be run again when it added
        nothing. `committed` is called with its answer after the commit, where somebody tells of
        that. Raises ConfigError for a connection that cannot be it, and what its driver raises."""
        ...
