"""The message groups of FIFO queues, in SQL: when each may be received from."""

from collections.abc import Collection

import apsw

from taskflow.limits import is_fifo
from taskflow.stores.sqlite.columns import encode


class Lanes:
    """The groups that hold something, and when the first row of each is visible."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._kinds: dict[int, bool] = {}

    def undone(self) -> None:
        """What a transaction made is gone: its numbers may be given again."""
        self._kinds.clear()

    def _is_fifo(self, queue: int) -> bool:
        known = self._kinds.get(queue)
        if known is None:  # a queue never changes its kind, and no number is used twice
            name = self._connection.execute("SELECT name FROM queue WHERE id = ?", (queue,)).get
            known = self._kinds[queue] = is_fifo(name or "")
        return known

    def of(self, queue: int, seqs: Collection[int]) -> list[str]:
        """The groups of these rows, if the queue is FIFO; ask before they are changed."""
        if not self._is_fifo(queue):
            return []
        lanes = self._connection.execute(
            """SELECT DISTINCT m.lane FROM json_each(?2) j
               CROSS JOIN message m ON m.queue = ?1 AND m.seq = j.value WHERE m.lane IS NOT NULL""",
            (queue, encode(list(seqs)).decode()),
        )
        return [lane for (lane,) in lanes]

    def refresh(self, queue: int, lanes: Collection[str]) -> None:
        """Note again when these groups may be received from: when their first row is visible."""
        for lane in lanes:
            ready_at = self._connection.execute(
                """SELECT visible_at FROM message INDEXED BY message_lane
                   WHERE queue = ? AND lane = ? ORDER BY seq LIMIT 1""",
                (queue, lane),
            ).get
            if ready_at is None:
                self._connection.execute(
                    "DELETE FROM lane WHERE queue = ? AND name = ?", (queue, lane)
                )
            else:
                self._connection.execute(
                    "INSERT OR REPLACE INTO lane VALUES (?, ?, ?)", (queue, lane, ready_at)
                )
