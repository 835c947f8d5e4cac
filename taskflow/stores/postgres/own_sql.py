"""SQL of the application in the broker's database: beside the broker's tables, never in them."""

import re
from typing import Any

import psycopg

from taskflow.broker.own_sql import Values

_PLANNER = (
    "SET LOCAL plan_cache_mode = auto; SET LOCAL enable_seqscan = on; "
    "SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on; "
    "SET LOCAL enable_bitmapscan = on; SET LOCAL synchronous_commit = on"
)
"""What suits the broker's statements does not suit others."""
_WORD = re.compile(r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*(\w+)", re.DOTALL)
_TRANSACTION = {
    *("begin", "start", "commit", "end", "abort", "rollback", "savepoint", "release", "prepare"),
    *("set", "reset", "discard", "listen", "notify", "copy", "lock"),
}
_WRITES = (
    r"\b(?:into|update|from|table|only|on|truncate|index|join)\s+(?:if\s+(?:not\s+)?exists\s+)?"
)


class PostgresSql:
    """`Sql` over one connection, whose transaction the caller holds. Values are put where `%s` or
    `%(name)s` stands."""

    def __init__(self, connection: psycopg.Connection[Any], schema: str) -> None:
        self._cursor = psycopg.Cursor(connection)
        self._ours = re.compile(rf'{_WRITES}"?{re.escape(schema)}"?\.', re.IGNORECASE)
        self._schema = schema
        self._open = True
        connection.execute(_PLANNER, prepare=False)

    def execute(self, sql: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """As `Sql.execute`."""
        if not self._open:
            raise ValueError("the transaction has ended")
        word = _WORD.match(sql)
        verb = word[1].lower() if word else ""
        if verb in _TRANSACTION:
            raise ValueError(
                f"a transaction of a step may not use {verb.upper()}: the transaction is the step's"
            )
        if verb not in ("select", "with", "values") and self._ours.search(sql):
            raise ValueError(f"a transaction of a step may not change the schema {self._schema!r}")
        self._cursor.execute(sql, values or None, prepare=True)
        return self._cursor.fetchall() if self._cursor.description else []

    def close(self) -> None:
        """The transaction ends."""
        self._open = False
