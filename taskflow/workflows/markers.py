"""The table in a user's database that says which steps have been done there."""

from contextlib import AbstractContextManager
from typing import Any, Protocol

TABLE = "taskflow_step"


class Markers(Protocol):
    """Rows of `taskflow_step`, which is made when it is missing."""

    def begin(self) -> AbstractContextManager[Any]:
        """A transaction of the database: the connection that it is on. It is committed at the end
        of the block, and rolled back when that raises."""
        ...

    def find(self, connection: Any, step: str) -> bytes | None:
        """What a step returned (JSON), if it has been done there."""
        ...

    def add(self, connection: Any, step: str, result: bytes, at: float) -> None:
        """A step has been done there. Raises the database's IntegrityError when another one, of a
        worker that is as late as this one, was first."""
        ...


def markers_of(database: Any) -> Markers:
    """Those of an SQLAlchemy engine, or a connection of psycopg 3. Raises TypeError for what is
    neither."""
    kind = type(database)
    if kind.__module__.startswith("sqlalchemy") and hasattr(database, "begin"):
        from taskflow.workflows.sqlalchemy_markers import SqlAlchemyMarkers

        return SqlAlchemyMarkers(database)
    if any(one.__module__ == "psycopg" and one.__name__ == "Connection" for one in kind.__mro__):
        from taskflow.workflows.psycopg_markers import PsycopgMarkers

        return PsycopgMarkers(database)
    raise TypeError(
        "transaction_on takes an SQLAlchemy engine, or a connection of psycopg 3; this is a "
        f"{kind.__module__}.{kind.__name__}"
    )
