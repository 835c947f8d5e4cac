"""What processes leave for others beside messages, in SQL: reports, and what a server is called."""

from collections.abc import Mapping

import apsw


class ProcessRows:
    """Small tables, seldom written."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute

    def put_worker(self, id: str, seen_at: float, report: str) -> None:
        self._execute("INSERT OR REPLACE INTO worker VALUES (?, ?, ?)", (id, seen_at, report))

    def drop_worker(self, id: str) -> None:
        self._execute("DELETE FROM worker WHERE id = ?", (id,))

    def workers(self) -> list[tuple[str, float, str]]:
        return list(self._execute("SELECT id, seen_at, report FROM worker ORDER BY id"))

    def identity(self) -> dict[str, str]:
        return dict(self._execute("SELECT name, value FROM identity"))

    def put_identity(self, values: Mapping[str, str]) -> None:
        for name, value in values.items():
            self._execute("INSERT OR REPLACE INTO identity VALUES (?, ?)", (name, value))
