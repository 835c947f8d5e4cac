"""Which steps have been done in a database of the user's, over a connection of psycopg 3."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from taskflow.errors import WorkflowError
from taskflow.workflows.markers import TABLE

BUSY = ("ACTIVE", "INTRANS", "INERROR")
"""Names of `TransactionStatus` of psycopg, which is not imported here."""
_LOCK = 7_305_410_922_117_336_173  # an arbitrary number: whoever makes the table has this lock
_MAKE = f"""CREATE TABLE IF NOT EXISTS {TABLE} (
    step varchar(600) PRIMARY KEY,
    result text NOT NULL,
    at double precision NOT NULL
)"""


class PsycopgMarkers:
    """`Markers` of a connection. One of them at a time uses it; give steps side by side one each.
    Raises WorkflowError for one that is within a transaction: that would have to end first."""

    def __init__(self, connection: Any) -> None:
        status = connection.info.transaction_status
        if status.name in BUSY:
            raise WorkflowError(
                "the connection of transaction_on is in a transaction already, which the step "
                "would be a part of: commit that first, or give the step another connection"
            )
        self._connection = connection
        with connection.transaction():
            if self._one("SELECT to_regclass(%s)", TABLE) == (None,):
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
                connection.execute(_MAKE)

    @contextmanager
    def begin(self) -> Iterator[Any]:
        """As of markers."""
        with self._connection.transaction():
            yield self._connection

    def find(self, connection: Any, step: str) -> bytes | None:
        """As of markers."""
        found = self._one(f"SELECT result FROM {TABLE} WHERE step = %s", step)
        return None if found is None else str(found[0]).encode()

    def add(self, connection: Any, step: str, result: bytes, at: float) -> None:
        """As of markers."""
        connection.execute(
            f"INSERT INTO {TABLE} (step, result, at) VALUES (%s, %s, %s)",
            (step, result.decode(), at),
        )

    def _one(self, sql: str, value: str) -> tuple[Any, ...] | None:
        """A row as a tuple, whatever rows are for this connection (dicts, say)."""
        with self._connection.cursor(row_factory=_tuples) as cursor:
            cursor.execute(sql, (value,))
            row: tuple[Any, ...] | None = cursor.fetchone()
            return row


def _tuples(cursor: Any) -> Any:
    return tuple
