"""What a broker may do beside its protocol: run SQL of the caller's in its own transaction."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

T = TypeVar("T")
Values = Sequence[Any] | Mapping[str, Any]


class Sql(Protocol):
    """Runs SQL in the transaction that it was handed out for, and until that ends."""

    def execute(self, sql: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """Run statements, `?` or `:name` standing for the values; answers all rows. Raises
        ValueError for what may not be done there, and the database's own errors."""
        ...


@runtime_checkable
class OwnSql(Protocol):
    """A broker whose file may hold tables of the application."""

    def within(self, work: Callable[[Sql], T]) -> T:
        """Call `work` once, inside of a transaction: what it does by SQL, and what it has the
        broker do in this thread, happens together, or not at all when it raises. On disk when this
        returns (`durability=power`). Nobody else writes meanwhile: be quick. Raises what `work`
        does, and BrokerUnavailable."""
        ...
