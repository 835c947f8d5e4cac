"""Messages that were just published, before they lie where messages lie."""

import apsw

_ANY = "SELECT 1 FROM arrival LIMIT 1"
_ADD_BODIES = "INSERT INTO body SELECT seq, body, '{}', NULL FROM arrival"
_ADD_MESSAGES = """
INSERT OR IGNORE INTO message (queue, seq, visible_at, sent_at, id, topic)
SELECT queue, seq, visible_at, sent_at, id, topic FROM arrival"""
_DROP_BODIES = """
DELETE FROM body WHERE seq IN (
    SELECT seq FROM arrival
    WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.queue = arrival.queue AND m.seq = arrival.seq)
)"""


class Arrivals:
    """What plain publishes have added to one file: a row in one table, where a message has a row in
    two and two indexes. All that looks at messages takes them over first, so nobody sees them."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.cursor().execute
        self._changes = connection.changes

    def any(self) -> bool:
        """Whether there are any."""
        return self._execute(_ANY).get is not None

    def take_over(self) -> None:
        """Make them messages, within the caller's transaction. One whose id its queue has already
        is gone, as any other second one of an id."""
        if not self.any():
            return
        execute = self._execute
        execute(_ADD_BODIES)
        count = self._changes()
        execute(_ADD_MESSAGES)
        if self._changes() != count:
            execute(_DROP_BODIES)
        execute("DELETE FROM arrival")
