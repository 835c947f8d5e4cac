"""What of a file lies in certain places, in SQL: looked for, stored elsewhere, and removed."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import apsw

from taskflow.stores.sqlite.columns import encode
from taskflow.stores.sqlite.letters import SqliteLetters
from taskflow.stores.sqlite.place_conditions import (
    APPLIED,
    BUCKET,
    FINISHED,
    HOLDING,
    INDEXES,
    MESSAGES,
    OTHER_KINDS,
    PLACE_OF_MESSAGE,
    RECORD,
    STANDARD,
    Functions,
    given,
)

_RECORD_COLUMNS = """kind, key, version, value, parent, label, state, due_at, expires_at, count,
                     created_at, changed_at"""
_ALL_MESSAGES, _ALL_FINISHED = "message m WHERE true", "finished f WHERE true"
_LEASED = 1 << 20
"""From here on a receipt is a lease; a smaller one is a mark."""


class Content(NamedTuple):
    """Rows as they lie in a file, with names of queues instead of their numbers."""

    messages: list[tuple[Any, ...]]
    bodies: dict[int, tuple[str, str, str | None]]
    records: list[tuple[Any, ...]]
    holdings: list[tuple[Any, ...]]
    applied: list[tuple[Any, ...]]
    buckets: list[tuple[Any, ...]]
    finished: list[tuple[Any, ...]]
    totals: list[tuple[Any, ...]]


class Moved(NamedTuple):
    """A lease whose message has another number since it was stored elsewhere."""

    before: int
    after: int
    lease: int


class PlacedRows:
    """Over one connection; the caller holds the transaction. `places` None: all that lies in the
    file, and what its queues have counted. What is of FIFO queues and topics has one place, and
    is looked for only then; records of the kinds `kept` are never."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._letters = SqliteLetters(connection)
        self._learn = Functions(connection).learn

    def counts(self) -> dict[int, int]:
        """How many messages lie in each place."""
        self._learn()
        return dict(
            self._execute(
                f"""SELECT {PLACE_OF_MESSAGE} AS place, count(*)
                    FROM message m WHERE {STANDARD} GROUP BY place"""
            )
        )

    def find(self, places: Collection[int] | None, kept: Collection[str]) -> Content:
        """What lies there."""
        self._learn()
        asked = given(places, kept)
        all_of_it = places is None
        messages = self._rows(
            f"""SELECT (SELECT name FROM queue q WHERE q.id = m.queue), m.seq, m.visible_at,
                       m.receive_count, m.receipt, m.first_received_at, m.sent_at, m.id, m.topic,
                       (SELECT name FROM queue s WHERE s.id = m.source), m.lane, m.tenant,
                       m.level, m.slot
                FROM {_ALL_MESSAGES if all_of_it else MESSAGES} ORDER BY m.seq""",
            asked,
        )
        seqs = encode(sorted({row[1] for row in messages})).decode()
        bodies = {
            seq: (body, attributes, extra)
            for seq, body, attributes, extra in self._execute(
                """SELECT seq, body, attributes, extra FROM body
                   WHERE seq IN (SELECT value FROM json_each(?))""",
                (seqs,),
            )
        }
        return Content(
            messages,
            bodies,
            self._rows(
                f"""SELECT {_RECORD_COLUMNS} FROM record
                    WHERE {OTHER_KINDS if all_of_it else RECORD} ORDER BY number""",
                asked,
            ),
            self._rows(
                f"""SELECT * FROM holding
                    WHERE {"key NOT GLOB '~*'" if all_of_it else HOLDING}""",
                asked,
            ),
            self._rows(f"SELECT * FROM applied WHERE {all_of_it or APPLIED}", asked),
            self._rows(f"SELECT * FROM bucket WHERE {all_of_it or BUCKET}", asked),
            self._rows(
                f"""SELECT (SELECT name FROM queue q WHERE q.id = f.queue), f.id, f.topic,
                           f.expires_at
                    FROM {_ALL_FINISHED if all_of_it else FINISHED}""",
                asked,
            ),
            self._rows("SELECT handled, dead_lettered, expired, name FROM queue", {})
            if all_of_it
            else [],
        )

    def size(self) -> int:
        """How many rows there are that may be many."""
        found: int = self._execute(
            """SELECT (SELECT count(*) FROM message) + (SELECT count(*) FROM record)
                   + (SELECT count(*) FROM finished)"""
        ).get
        return found

    def index(self, name: str) -> None:
        """Have one of INDEXES, by which `find` and `drop` need not look through everything."""
        self._execute(f"CREATE INDEX IF NOT EXISTS {name} ON {INDEXES[name]}")

    def unindex(self) -> None:
        """Have none of them any more."""
        for name in INDEXES:
            self._execute(f"DROP INDEX IF EXISTS {name}")

    def any(self, kept: Collection[str]) -> bool:
        """Whether `find` would find anything that is left of all."""
        return bool(
            self._execute(
                f"""SELECT EXISTS (SELECT 1 FROM message) OR EXISTS (SELECT 1 FROM finished)
                        OR EXISTS (SELECT 1 FROM record WHERE {OTHER_KINDS})
                        OR EXISTS (SELECT 1 FROM holding WHERE key NOT GLOB '~*')
                        OR EXISTS (SELECT 1 FROM applied) OR EXISTS (SELECT 1 FROM bucket)
                        OR EXISTS (SELECT 1 FROM queue
                                   WHERE handled + dead_lettered + expired > 0)""",
                given(None, kept),
            ).get
        )

    def put(self, content: Content) -> Sequence[Moved]:
        """Store what was found elsewhere; answers which leases have another number."""
        queues = dict(self._execute("SELECT name, id FROM queue"))
        moved = self._put_messages(content, queues)
        many = self._connection.executemany
        many(
            f"""INSERT OR REPLACE INTO record ({_RECORD_COLUMNS})
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            content.records,
        )
        many("INSERT OR REPLACE INTO holding VALUES (?, ?, ?)", content.holdings)
        many("INSERT OR REPLACE INTO applied VALUES (?, ?, ?)", content.applied)
        many("INSERT OR REPLACE INTO bucket VALUES (?, ?, ?)", content.buckets)
        many(
            """INSERT INTO finished VALUES (?, ?, ?, ?) ON CONFLICT (queue, id, topic) DO UPDATE
               SET expires_at = max(expires_at, excluded.expires_at)""",
            [(queues[name], *rest) for name, *rest in content.finished],
        )
        many(
            """UPDATE queue SET handled = handled + ?, dead_lettered = dead_lettered + ?,
                                expired = expired + ? WHERE name = ?""",
            content.totals,
        )
        return moved

    def _put_messages(self, content: Content, queues: dict[str, int]) -> Sequence[Moved]:
        moved: list[Moved] = []
        numbers: dict[int, int] = {}
        holders: dict[int, list[int]] = {}
        for name, seq, *rest in content.messages:
            queue = queues[name]  # declarations are the same in all files
            if seq not in numbers:
                numbers[seq] = self._free_number(seq, holders)
            number = numbers[seq]
            visible_at, count, receipt, first, sent_at, id, topic, source, *last = rest
            self._execute(
                """INSERT INTO message (queue, seq, visible_at, receive_count, receipt,
                       first_received_at, sent_at, id, topic, source, lane, tenant, level, slot)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING""",
                (
                    *(queue, number, visible_at, count, receipt, first, sent_at, id, topic),
                    *(queues.get(source), *last),
                ),
            )
            if self._connection.changes():
                holders.setdefault(number, []).append(queue)
                if source is not None:
                    self._note_letter(content, queue, seq, number, queues.get(source), count)
                if receipt is not None and receipt >= _LEASED:
                    moved.append(Moved(seq, number, receipt))
        self._connection.executemany(
            "INSERT INTO body VALUES (?, ?, ?, ?)",
            [
                (number, *content.bodies[seq])
                for seq, number in numbers.items()
                if number in holders
            ],
        )
        self._connection.executemany(
            "INSERT INTO shared VALUES (?, ?)",
            [
                (number, encode(sorted(some)).decode())
                for number, some in holders.items()
                if len(some) > 1
            ],
        )
        return moved

    def _note_letter(
        self, content: Content, queue: int, seq: int, number: int, source: int | None, count: int
    ) -> None:
        """A dead letter, unless the queue that it came from is gone."""
        if source is not None:
            died_at = seq / 1e6  # when it was stored
            self._letters.note(queue, number, source, content.bodies[seq][1], died_at, count)

    def _free_number(self, seq: int, taken: Collection[int]) -> int:
        """The number that a body had, so that the order stays; else the next that is free."""
        while seq in taken or self._execute("SELECT 1 FROM body WHERE seq = ?", (seq,)).get:
            seq += 1
        return seq

    def drop(self, places: Collection[int] | None, kept: Collection[str]) -> None:
        """Remove what `find` finds."""
        self._learn()
        asked = given(places, kept)
        all_of_it = places is None
        gone = self._rows(
            f"""SELECT m.queue, m.seq, m.source
                FROM {_ALL_MESSAGES if all_of_it else MESSAGES}""",
            asked,
        )
        self._letters.uncount([seq for _, seq, source in gone if source is not None])
        remove = self._connection.executemany
        remove("DELETE FROM message WHERE queue = ? AND seq = ?", [one[:2] for one in gone])
        seqs = encode(sorted({seq for _, seq, _ in gone})).decode()
        for table in ("body", "shared"):
            self._execute(
                f"""DELETE FROM {table} AS b WHERE seq IN (SELECT value FROM json_each(?))
                    AND NOT EXISTS (SELECT 1 FROM queue q CROSS JOIN message m
                                    ON m.queue = q.id AND m.seq = b.seq)""",
                (seqs,),
            )
        for table, condition in (
            ("record", OTHER_KINDS if all_of_it else RECORD),
            ("holding", "key NOT GLOB '~*'" if all_of_it else HOLDING),
            ("applied", all_of_it or APPLIED),
            ("bucket", all_of_it or BUCKET),
        ):
            self._execute(f"DELETE FROM {table} WHERE {condition}", asked)
        finished = self._rows(
            f"SELECT f.queue, f.id, f.topic FROM {_ALL_FINISHED if all_of_it else FINISHED}", asked
        )
        remove("DELETE FROM finished WHERE queue = ? AND id = ? AND topic = ?", finished)
        if all_of_it:
            self._execute("UPDATE queue SET handled = 0, dead_lettered = 0, expired = 0")

    def _rows(self, sql: str, asked: dict[str, Any]) -> list[tuple[Any, ...]]:
        return list(self._execute(sql, asked))
