"""What of a file lies in certain places, in SQL: looked for, stored elsewhere, and removed."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import apsw

from taskflow.limits import FIFO_SUFFIX
from taskflow.placing import PLACES, hash_of, place_of, place_of_key
from taskflow.stores.message_columns import read_extra
from taskflow.stores.sqlite.columns import encode
from taskflow.stores.sqlite.letters import SqliteLetters

_MADE_HERE = " AND ".join(
    [
        *(f"substr({{0}}, {at}, 1) = '-'" for at in (9, 14, 19, 24)),
        "substr({0}, 15, 1) = '7'",
        "substr({0}, 34, 3) GLOB '[0-9a-f][0-9a-f][0-9a-f]'",
    ]
)
"""As `place_of` knows an id that says its place: asked without Python, which is most of them."""
_ID = (
    f"CASE WHEN {_MADE_HERE} THEN substr({{0}}, 34, 3) IN (SELECT value FROM json_each(:tails)) "
    "ELSE place_of({0}) IN (SELECT value FROM json_each(:places)) END"
)
_STANDARD = f"""m.queue IN (SELECT id FROM queue WHERE name NOT GLOB '*{FIFO_SUFFIX}')
                AND m.topic NOT GLOB '*{FIFO_SUFFIX}'"""
_EXTRA = "(SELECT extra FROM body b WHERE b.seq = m.seq)"
_MESSAGE = f"""{_STANDARD} AND CASE WHEN m.slot IS NULL AND m.source IS NULL
                   THEN {_ID.format("m.id")}
                   ELSE place_of_row(m.id, m.topic, m.slot, {_EXTRA})
                        IN (SELECT value FROM json_each(:places)) END"""
_OTHER_KINDS = "kind NOT IN (SELECT value FROM json_each(:kept))"
_RECORD = f"{_OTHER_KINDS} AND {_ID.format('key')}"
_HOLDING = "key NOT GLOB '~*' AND place_of_key(key) IN (SELECT value FROM json_each(:places))"
_BUCKET = "place_of_key(name) IN (SELECT value FROM json_each(:places))"
_APPLIED = "hash_of(id) IN (SELECT value FROM json_each(:places))"
_FINISHED = f"""queue IN (SELECT id FROM queue WHERE name NOT GLOB '*{FIFO_SUFFIX}')
                AND topic NOT GLOB '*{FIFO_SUFFIX}' AND {_ID.format("id")}"""
_RECORD_COLUMNS = """kind, key, version, value, parent, label, state, due_at, expires_at, count,
                     created_at, changed_at"""
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
        self._knows = False

    def counts(self) -> dict[int, int]:
        """How many messages lie in each place."""
        self._learn()
        return dict(
            self._execute(
                f"""SELECT place_of_row(m.id, m.topic, m.slot, CASE WHEN m.slot IS NULL
                           AND m.source IS NULL THEN NULL ELSE {_EXTRA} END) AS place, count(*)
                    FROM message m WHERE {_STANDARD} GROUP BY place"""
            )
        )

    def find(self, places: Collection[int] | None, kept: Collection[str]) -> Content:
        """What lies there."""
        self._learn()
        given = _given(places, kept)
        all_of_it = places is None
        messages = self._rows(
            f"""SELECT q.name, m.seq, m.visible_at, m.receive_count, m.receipt,
                       m.first_received_at, m.sent_at, m.id, m.topic,
                       (SELECT name FROM queue s WHERE s.id = m.source), m.lane, m.tenant,
                       m.level, m.slot
                FROM message m JOIN queue q ON q.id = m.queue
                WHERE {"true" if all_of_it else _MESSAGE} ORDER BY m.seq""",
            given,
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
                    WHERE {_OTHER_KINDS if all_of_it else _RECORD} ORDER BY number""",
                given,
            ),
            self._rows(
                f"""SELECT * FROM holding
                    WHERE {"key NOT GLOB '~*'" if all_of_it else _HOLDING}""",
                given,
            ),
            self._rows(f"SELECT * FROM applied WHERE {all_of_it or _APPLIED}", given),
            self._rows(f"SELECT * FROM bucket WHERE {all_of_it or _BUCKET}", given),
            self._rows(
                f"""SELECT (SELECT name FROM queue q WHERE q.id = f.queue), id, topic, expires_at
                    FROM finished f WHERE {all_of_it or _FINISHED}""",
                given,
            ),
            self._rows("SELECT handled, dead_lettered, expired, name FROM queue", {})
            if all_of_it
            else [],
        )

    def any(self, kept: Collection[str]) -> bool:
        """Whether `find` would find anything that is left of all."""
        return bool(
            self._execute(
                f"""SELECT EXISTS (SELECT 1 FROM message) OR EXISTS (SELECT 1 FROM finished)
                        OR EXISTS (SELECT 1 FROM record WHERE {_OTHER_KINDS})
                        OR EXISTS (SELECT 1 FROM holding WHERE key NOT GLOB '~*')
                        OR EXISTS (SELECT 1 FROM applied) OR EXISTS (SELECT 1 FROM bucket)
                        OR EXISTS (SELECT 1 FROM queue
                                   WHERE handled + dead_lettered + expired > 0)""",
                _given(None, kept),
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
        given = _given(places, kept)
        all_of_it = places is None
        letters = self._rows(
            f"""SELECT m.seq FROM message m
                WHERE m.source IS NOT NULL AND {"true" if all_of_it else _MESSAGE}""",
            given,
        )
        self._letters.uncount([seq for (seq,) in letters])
        gone = self._rows(
            f"""DELETE FROM message AS m WHERE {"true" if all_of_it else _MESSAGE}
                RETURNING seq""",
            given,
        )
        seqs = encode(sorted({seq for (seq,) in gone})).decode()
        for table in ("body", "shared"):
            self._execute(
                f"""DELETE FROM {table} AS b WHERE seq IN (SELECT value FROM json_each(?))
                    AND NOT EXISTS (SELECT 1 FROM queue q CROSS JOIN message m
                                    ON m.queue = q.id AND m.seq = b.seq)""",
                (seqs,),
            )
        for table, condition in (
            ("record", _OTHER_KINDS if all_of_it else _RECORD),
            ("holding", "key NOT GLOB '~*'" if all_of_it else _HOLDING),
            ("applied", all_of_it or _APPLIED),
            ("bucket", all_of_it or _BUCKET),
            ("finished", all_of_it or _FINISHED),
        ):
            self._execute(f"DELETE FROM {table} WHERE {condition}", given)
        if all_of_it:
            self._execute("UPDATE queue SET handled = 0, dead_lettered = 0, expired = 0")

    def _rows(self, sql: str, given: dict[str, Any]) -> list[tuple[Any, ...]]:
        return list(self._execute(sql, given))

    def _learn(self) -> None:
        if self._knows:
            return
        functions: dict[str, tuple[Any, int]] = {
            "place_of": (place_of, 1),
            "place_of_key": (place_of_key, 1),
            "place_of_row": (place_of_row, 4),
            "hash_of": (hash_of, 1),
        }
        for name, (function, count) in functions.items():
            self._connection.create_scalar_function(name, function, count, deterministic=True)
        self._knows = True


def place_of_row(id: str, topic: str, slot: str | None, extra: str | None) -> int:
    """As a message of a standard queue was placed when it was sent. (One that came from a topic and
    has a limit of its handler's lies where it did.)"""
    sent = read_extra(extra).slot
    limit = sent if topic or sent is not None else slot
    return place_of(id) if limit is None else hash_of(limit)


def _given(places: Collection[int] | None, kept: Collection[str]) -> dict[str, Any]:
    some = sorted(places or ())
    tails = [f"{high * PLACES | place:03x}" for place in some for high in range(4096 // PLACES)]
    return {
        "places": encode(some).decode(),
        "tails": encode(tails).decode(),
        "kept": encode(sorted(kept)).decode(),
    }
