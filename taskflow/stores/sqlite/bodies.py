"""What does not change of a message, in SQL: body, attributes, extra; once for all queues."""

from collections.abc import Collection, Sequence

import apsw

from taskflow.message import Message
from taskflow.stores.message_columns import write_attributes, write_extra
from taskflow.stores.sqlite.columns import encode

_INSERT = "INSERT INTO body VALUES (?, ?, ?, ?)"

# Whether there is any shared one is asked once, and mostly there is none.
_ALONE = (
    "AND (NOT EXISTS (SELECT 1 FROM shared) "
    "OR NOT EXISTS (SELECT 1 FROM shared s WHERE s.seq = body.seq))"
)


class SqliteBodies:
    """Bodies by number, which is that of the message rows that have it; several queues may.

    A body of one queue goes with its row. One that several share has a row in `shared`, and is
    removed by `sweep` once no queue holds it: nobody who acknowledges has to count.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.cursor().execute
        self._swept = 0  # the last shared body looked at

    def add(self, messages: Sequence[tuple[int, Message]]) -> None:
        """Store bodies, each with its number."""
        self._connection.executemany(_INSERT, [_columns(seq, one) for seq, one in messages])

    def add_one(self, seq: int, message: Message) -> None:
        """Store a body."""
        self._execute(_INSERT, _columns(seq, message))

    def put(self, seq: int, body: str, attributes: str, extra: str | None) -> None:
        """Store a body as it lay elsewhere."""
        self._execute(_INSERT, (seq, body, attributes, extra))

    def share(self, seqs: Sequence[int], queues: Collection[int]) -> None:
        """Note that these bodies are those of all these queues."""
        owners = encode(sorted(queues)).decode()
        self._connection.executemany(
            "INSERT INTO shared VALUES (?, ?)", [(seq, owners) for seq in seqs]
        )

    def forget(self, seqs: Collection[int]) -> None:
        """Remove the bodies of removed rows, but for those that are shared."""
        if len(seqs) == 1:  # a list of them would cost more than the change
            self._execute(f"DELETE FROM body WHERE seq = ? {_ALONE}", tuple(seqs))
        elif seqs:
            self._execute(
                f"""DELETE FROM body WHERE seq IN (SELECT value FROM json_each(?)) {_ALONE}""",
                (encode(list(seqs)).decode(),),
            )

    def sweep(self, limit: int) -> int:
        """Look at the next `limit` shared bodies, and remove those that no queue holds; answers how
        many were. It goes round and round, so that what is held long keeps nobody from its turn."""
        looked_at = list(
            self._execute(
                "SELECT seq FROM shared WHERE seq > ? ORDER BY seq LIMIT ?", (self._swept, limit)
            )
        )
        self._swept = looked_at[-1][0] if len(looked_at) == limit else 0
        if not looked_at:
            return 0
        gone = [
            seq
            for (seq,) in self._execute(
                """DELETE FROM shared WHERE seq BETWEEN ? AND ? AND NOT EXISTS (
                       SELECT 1 FROM json_each(shared.queues) j CROSS JOIN message m
                       ON m.queue = j.value AND m.seq = shared.seq) RETURNING seq""",
                (looked_at[0][0], looked_at[-1][0]),
            )
        ]
        if gone:
            self._execute(
                "DELETE FROM body WHERE seq IN (SELECT value FROM json_each(?))",
                (encode(gone).decode(),),
            )
        return len(gone)


def _columns(seq: int, message: Message) -> tuple[int, str, str, str | None]:
    attributes = message.attributes
    written = write_attributes(attributes) if attributes else "{}"
    return seq, message.body, written, write_extra(message)
