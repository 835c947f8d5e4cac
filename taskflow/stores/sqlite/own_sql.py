"""SQL of the application in the broker's file: beside the broker's tables, never in them."""

import re
from pathlib import Path
from typing import Any

import apsw

from taskflow.broker.own_sql import Values

_TABLE = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)")
_PACKAGE = Path(__file__).parent
OURS = frozenset(
    name for file in _PACKAGE.glob("*.sql") for name in _TABLE.findall(file.read_text("utf-8"))
)
"""The tables of the broker."""

_READS = {apsw.SQLITE_SELECT, apsw.SQLITE_READ, apsw.SQLITE_FUNCTION, apsw.SQLITE_RECURSIVE}
_REFUSED = {
    apsw.SQLITE_ATTACH: "ATTACH: a crash tears a transaction over several files, since each "
    "commits alone; keep the tables in the broker's file, or use ctx.transaction_on",
    apsw.SQLITE_DETACH: "DETACH",
    apsw.SQLITE_TRANSACTION: "BEGIN, COMMIT and ROLLBACK: the transaction is the step's",
    apsw.SQLITE_SAVEPOINT: "SAVEPOINT: the transaction is the step's",
    apsw.SQLITE_PRAGMA: "PRAGMA",
}


class SqliteSql:
    """`Sql` over one connection, whose transaction the caller holds."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._cursor = connection.cursor()
        self._connection = connection
        self._open = True
        self._why = ""

    def execute(self, sql: str, values: Values = ()) -> list[tuple[Any, ...]]:
        """As `Sql.execute`."""
        if not self._open:
            raise ValueError("the transaction has ended")
        before, self._why = self._connection.authorizer, ""
        self._connection.authorizer = self._judge
        try:
            return list(self._cursor.execute(sql, values, can_cache=False))
        except apsw.AuthError:
            raise ValueError(f"a transaction of a step may not use {self._why}") from None
        finally:
            self._connection.authorizer = before

    def close(self) -> None:
        """The transaction ends."""
        self._open = False

    def _judge(
        self, what: int, first: str | None, second: str | None, _: str | None, __: str | None
    ) -> int:
        if what in _REFUSED:
            self._why = _REFUSED[what]
            return apsw.SQLITE_DENY
        if what not in _READS and not OURS.isdisjoint((first, second)):
            self._why = f"the broker's own table {first if first in OURS else second!r} to write"
            return apsw.SQLITE_DENY
        return apsw.SQLITE_OK
