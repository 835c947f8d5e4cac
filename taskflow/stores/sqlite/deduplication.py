"""What FIFO queues and topics know within five minutes, in SQL: messages, and receives."""

from collections.abc import Sequence

import apsw
import msgspec

from taskflow.stores.row import Row
from taskflow.stores.sqlite.columns import encode
from taskflow.stores.sqlite.due_rows import DueRows


class Deduplications:
    """Deduplication ids of messages, and attempt ids of receives."""

    def __init__(self, connection: apsw.Connection, due: DueRows) -> None:
        self._connection = connection
        self._due = due

    def deduplicated(
        self, keys: Sequence[tuple[str, str]], now: float
    ) -> dict[tuple[str, str], tuple[str, int]]:
        return {
            (scope, key): (id, seq)
            for scope, key, id, seq in self._connection.execute(
                """SELECT d.scope, d.key, d.id, d.seq FROM json_each(?1) j
                   CROSS JOIN deduplication d
                   ON d.scope = j.value ->> 0 AND d.key = j.value ->> 1 WHERE d.expires_at > ?2""",
                (encode(keys).decode(), now),
            )
        }

    def deduplicate(
        self, entries: Sequence[tuple[str, str, str, int]], expires_at: float, now: float
    ) -> None:
        # As many old records go as two batches bring: the table cannot outgrow its window.
        self._connection.execute(
            """DELETE FROM deduplication WHERE (scope, key) IN (
                   SELECT scope, key FROM deduplication WHERE expires_at <= ?
                   ORDER BY expires_at LIMIT ?)""",
            (now, 2 * len(entries)),
        )
        self._connection.executemany(
            "INSERT OR REPLACE INTO deduplication VALUES (?, ?, ?, ?, ?)",
            [(scope, key, id, seq, expires_at) for scope, key, id, seq in entries],
        )

    def attempted(self, queue: int, attempt: str, now: float) -> tuple[int, list[Row]] | None:
        found = self._connection.execute(
            """SELECT receipt, seqs, until FROM attempt
               WHERE queue = ? AND id = ? AND expires_at > ?""",
            (queue, attempt, now),
        ).get
        if found is None:
            return None
        receipt, text, until = found
        if until <= now:
            return None
        seqs = msgspec.json.decode(text, type=list[int])
        intact = self._connection.execute(
            """SELECT count(*) FROM message WHERE queue = ?1 AND receipt = ?2 AND visible_at = ?3
               AND seq IN (SELECT value FROM json_each(?4))""",
            (queue, receipt, until, text),
        ).get
        return (receipt, self._due.by_number(queue, seqs)) if intact == len(seqs) else None

    def remember_attempt(
        self,
        queue: int,
        attempt: str,
        receipt: int,
        seqs: Sequence[int],
        until: float,
        expires_at: float,
        now: float,
    ) -> None:
        self._connection.execute("DELETE FROM attempt WHERE expires_at <= ?", (now,))
        self._connection.execute(
            "INSERT OR REPLACE INTO attempt VALUES (?, ?, ?, ?, ?, ?)",
            (queue, attempt, receipt, encode(list(seqs)).decode(), until, expires_at),
        )
