"""Rows as somebody else has kept them for a while, written as they are."""

from collections.abc import Sequence
from typing import NamedTuple

import apsw

from taskflow.broker.record import Record
from taskflow.message import Message
from taskflow.stores.message_columns import write_extra
from taskflow.stores.sqlite.columns import encode


class KeptMessage(NamedTuple):
    """A row of a standard queue without priority, group and slot."""

    queue: int
    seq: int
    visible_at: float
    receive_count: int
    receipt: int | None
    first_received_at: float | None
    sent_at: float
    id: str
    topic: str


class PutAway(NamedTuple):
    """What is to be written. `bodies` are by number, and have no attributes; those of several
    queues are named in `shared`, with the ids of these. `handled` counts what queues have handled
    since. `replaced` are (kind, key) of records that may still be there, and are new ones by now.
    `keys` are as the store has them, `freed` those that nobody holds."""

    messages: Sequence[KeptMessage] = ()
    bodies: Sequence[tuple[int, Message]] = ()
    shared: Sequence[tuple[int, Sequence[int]]] = ()
    finished: Sequence[tuple[int, str, str, float]] = ()
    handled: Sequence[tuple[int, int]] = ()
    replaced: Sequence[tuple[str, str]] = ()
    new_records: Sequence[Record] = ()
    records: Sequence[Record] = ()
    keys: Sequence[tuple[str, str, float | None]] = ()
    freed: Sequence[str] = ()


class PutAwayRows:
    """Writes it; the caller holds the transaction."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def last_number(self) -> int:
        """The highest number of a body, 0 when there is none."""
        found: int = self._connection.execute("SELECT ifnull(max(seq), 0) FROM body").get
        return found

    def has_records(self, kind: str) -> bool:
        """Whether there are records of this kind, expired ones too."""
        found: int = self._connection.execute(
            "SELECT EXISTS (SELECT 1 FROM record WHERE kind = ?)", (kind,)
        ).get
        return bool(found)

    def has_finished(self) -> bool:
        """Whether any queue remembers an event as finished."""
        found: int = self._connection.execute("SELECT EXISTS (SELECT 1 FROM finished)").get
        return bool(found)

    def put_away(self, kept: PutAway) -> None:
        """Write all of it. What was there before of the same keys and numbers was known to whoever
        kept it."""
        many = self._connection.executemany
        many("INSERT INTO message (queue, seq, visible_at, receive_count, receipt, "
             "first_received_at, sent_at, id, topic) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
             kept.messages)  # fmt: skip
        many(
            "INSERT INTO body VALUES (?, ?, '{}', ?)",
            [(seq, one.body, write_extra(one)) for seq, one in kept.bodies],
        )
        many(
            "INSERT INTO shared VALUES (?, ?)",
            [(seq, encode(sorted(queues)).decode()) for seq, queues in kept.shared],
        )
        many("INSERT OR REPLACE INTO finished VALUES (?, ?, ?, ?)", kept.finished)
        many("UPDATE queue SET handled = handled + ?2 WHERE id = ?1", kept.handled)
        many("DELETE FROM record WHERE kind = ? AND key = ?", kept.replaced)
        many(
            """INSERT INTO record (kind, key, version, value, parent, label, state, due_at,
                                   expires_at, count, created_at, changed_at)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            map(_columns, kept.new_records),
        )
        many(
            """UPDATE record SET version = ?3, value = ?4, parent = ?5, label = ?6, state = ?7,
                                 due_at = ?8, expires_at = ?9, count = ?10, created_at = ?11,
                                 changed_at = ?12
               WHERE kind = ?1 AND key = ?2""",
            map(_columns, kept.records),
        )
        many("INSERT OR REPLACE INTO holding VALUES (?, ?, ?)", kept.keys)
        many("DELETE FROM holding WHERE key = ?", [(key,) for key in kept.freed])


def _columns(one: Record) -> tuple[object, ...]:
    return (
        *(one.kind, one.key, one.version, one.value, one.parent, one.label, one.state),
        *(one.due_at, one.expires_at, one.count, one.created_at, one.changed_at),
    )
