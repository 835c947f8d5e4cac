"""A checkpoint in one statement: a new record, and one that is replaced, while a lease holds.

It is the short form of `brokers.stored.apply` for such a change, and stores the same.
"""

from collections.abc import Callable, Sequence
from typing import Any

import apsw

from taskflow.broker.change import Put
from taskflow.stores.row import SPOKEN, Held, QueueRow
from taskflow.stores.sqlite.database import Database
from taskflow.stores.sqlite.durability import Durability
from taskflow.stores.sqlite.shared_commit import CLOSED
from taskflow.stores.sqlite.translation import translate
from taskflow.uninterrupted import uninterrupted

# The views are the connection's own: nothing of them is in the file. An INSERT into one is a
# transaction by itself, and costs less than its parts one by one.
_NEW = "seq, queue, receipt, now, version, kind, key, value, parent, label"
_OTHER = "kind2, key2, value2, parent2, label2, state2, expected2"
_KEEP = f"""
    SELECT raise(ABORT, 'not held') WHERE new.receipt IS NOT
        (SELECT receipt & ~{SPOKEN} FROM message WHERE queue = new.queue AND seq = new.seq);
    INSERT INTO record (kind, key, version, value, parent, label, created_at, changed_at)
        VALUES (new.kind, new.key, new.version, new.value, new.parent, new.label, new.now, new.now);
"""
_REPLACE = """
    UPDATE record SET version = version + 1, value = new.value2, parent = new.parent2,
        label = new.label2, state = new.state2, due_at = NULL, expires_at = NULL,
        changed_at = new.now
        WHERE kind = new.kind2 AND key = new.key2 AND version = new.expected2
          AND (expires_at IS NULL OR expires_at > new.now);
    SELECT raise(ABORT, 'changed') WHERE changes() = 0;
"""


def _view(name: str, columns: str, does: str) -> str:
    shown = ", ".join(f"0 AS {column}" for column in columns.split(", "))
    return f"""
        CREATE TEMP VIEW IF NOT EXISTS {name} AS SELECT {shown};
        CREATE TEMP TRIGGER IF NOT EXISTS {name}_insert INSTEAD OF INSERT ON {name}
        BEGIN {does} END;"""


def _insert(name: str, columns: str) -> str:
    return f"INSERT INTO {name} VALUES ({', '.join('?' * len(columns.split(', ')))})"


_BOTH = f"{_NEW}, {_OTHER}"
_PREPARE = _view("plain_keep", _NEW, _KEEP) + _view("plain_begin", _BOTH, _KEEP + _REPLACE)
_KEEP_ONE = _insert("plain_keep", _NEW)
_KEEP_BOTH = _insert("plain_begin", _BOTH)


class SqlitePlainKeeping:
    """`PlainKeeping` over one SQLite file. Thread-safe."""

    def __init__(self, database: Database, durability: Durability) -> None:
        self._database = database
        self._reading, self._writing = database.reading, database.writing
        self._haste = database.haste
        self._count_commit = durability.count_commit
        self._queues: dict[str, int | None] = {}  # None: what it holds may be had by others
        self._connection: apsw.Connection | None = None  # which has the views
        self._execute: Callable[[str, Sequence[Any]], Any]

    def knows(self, queue: str) -> bool:
        return queue in self._queues

    def learn(self, queue: QueueRow) -> None:
        self._queues[queue.name] = None if queue.fifo else queue.id

    @uninterrupted
    def prepare(self) -> None:
        if self._connection is self._database.connection:
            return
        self._reading.run(self._prepare)

    def _prepare(self) -> None:
        connection = self._database.connection
        if self._connection is connection or not self._writing.is_clear():
            return  # what undoes that transaction would undo this, too
        connection.execute(_PREPARE)
        self._queues.clear()  # they were another file's
        self._execute = connection.cursor().execute
        self._connection = connection

    @uninterrupted
    def keep(
        self, queue: str, held: Held, now: float, version: int, new: Put, other: Put | None
    ) -> bool:
        reading = self._reading
        if self._haste.on or queue not in self._queues or not reading.is_open():
            return False
        with reading.lock:  # of C: Ctrl-C comes before it or within it
            if not self._writing.is_clear():
                return False
            try:
                kept = self.keep_within(queue, held, now, version, new, other)
            except CLOSED:  # for a fork
                return False
            except apsw.Error as error:
                raise translate(error, self._database.path) from error
            if kept:
                self._count_commit()
        return kept

    @uninterrupted
    def keep_within(
        self, queue: str, held: Held, now: float, version: int, new: Put, other: Put | None
    ) -> bool:
        number = self._queues.get(queue)
        if number is None or self._connection is not self._database.connection:
            return False
        fence = (held.seq, number, held.receipt, now)
        keeps = (version, new.kind, new.key, new.value, new.parent, new.label)
        try:
            if other is None:
                self._execute(_KEEP_ONE, (*fence, *keeps))
            else:
                replaces = (other.kind, other.key, other.value, other.parent, other.label)
                last = (other.state, other.expected)
                self._execute(_KEEP_BOTH, (*fence, *keeps, *replaces, *last))
        except apsw.ConstraintError:  # the general way says why
            self._queues.pop(queue, None)
            return False
        return True
