"""Lending the only message that is due, in SQL: one statement, which is a transaction by itself."""

from operator import attrgetter

import apsw

from taskflow.stores.row import Lone, QueueRow, Row
from taskflow.stores.sqlite.declared import DeclaredRows

_LEND = """
UPDATE message SET visible_at = ?1, receive_count = 1, receipt = ?2,
                   first_received_at = coalesce(first_received_at, ?3)
WHERE queue = ?4
  AND seq = (SELECT seq FROM message WHERE queue = ?4 AND level IS NULL AND visible_at <= ?3
             ORDER BY visible_at, seq LIMIT 1)
  AND receive_count = 0 AND receipt IS NULL AND source IS NULL AND slot IS NULL AND sent_at > ?5
  AND NOT EXISTS (SELECT 1 FROM message WHERE queue = ?4 AND level IS NULL AND visible_at <= ?3
                  LIMIT 1 OFFSET 1)
  AND NOT EXISTS (SELECT 1 FROM message
                  WHERE queue = ?4 AND level IN (0, 2) AND visible_at <= ?3)
  AND (SELECT stamp FROM topology) = ?6
RETURNING seq, id, topic, 0, first_received_at, sent_at, visible_at, source,
          (SELECT body FROM body WHERE body.seq = message.seq),
          (SELECT attributes FROM body WHERE body.seq = message.seq),
          (SELECT extra FROM body WHERE body.seq = message.seq),
          receipt, NULL, NULL,
          EXISTS (SELECT 1 FROM finished f WHERE f.queue = ?4 AND f.id = message.id
                    AND f.topic = message.topic AND f.expires_at > ?3)"""

_GET = attrgetter("get")


class LoneLender:
    """Stores what `Lender` does for such a message."""

    def __init__(self, connection: apsw.Connection, declared: DeclaredRows) -> None:
        self._execute = connection.cursor().execute
        self._declared = declared

    def lend_lone(
        self, queue: QueueRow, receipt: int, until: float, kept_from: float, now: float
    ) -> Lone | None:
        stamp = self._declared.stamp_of(queue)
        if stamp is None:
            return None
        values = (until, receipt, now, queue.id, kept_from, stamp)
        # One call of C: Ctrl-C in between would leave the statement open, and the file locked.
        found = next(map(_GET, map(self._execute, (_LEND,), (values,))))
        if found is None:
            return None
        return Lone(Row._make(found[:-1]), bool(found[-1]))
