"""Adding rows, in SQL: what is sent, and what moves from one queue to another."""

from collections import Counter
from collections.abc import Collection, Sequence
from operator import itemgetter
from typing import Any

import apsw

from taskflow.message import Message
from taskflow.stores.message_columns import read_extra, with_received
from taskflow.stores.row import Moved, QueueRow, Row
from taskflow.stores.sqlite.bodies import SqliteBodies
from taskflow.stores.sqlite.columns import LEVEL_OF, encode
from taskflow.stores.sqlite.declared import DeclaredRows
from taskflow.stores.sqlite.lanes import Lanes
from taskflow.stores.sqlite.letters import SqliteLetters
from taskflow.stores.sqlite.plain_batch import PlainBatch, is_plain
from taskflow.stores.sqlite.removal import Removal

_INSERT = """INSERT INTO message
                 (queue, seq, visible_at, sent_at, id, topic, lane, tenant, level, slot)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""


class Insertion:
    """Numbers are given here: each row's is higher than those before it, in its queue and of all
    bodies."""

    def __init__(
        self,
        connection: apsw.Connection,
        declared: DeclaredRows,
        bodies: SqliteBodies,
        lanes: Lanes,
        removal: Removal,
        letters: SqliteLetters,
    ) -> None:
        self._connection = connection
        self._execute = connection.execute
        # One cursor for all single inserts: making one costs more than to use it.
        self._insert_one = connection.cursor().execute
        self._declared = declared
        self._bodies = bodies
        self._lanes = lanes
        self._removal = removal
        self._letters = letters
        self._plain = PlainBatch(connection)

    def add(
        self, queue: QueueRow, topic: str, messages: Sequence[Message], now: float
    ) -> list[int]:
        if len(messages) == 1:
            return [self._add_one(queue, topic, messages[0], now)]
        first = self.next_numbers(queue, len(messages), now)
        if not queue.fifo and all(map(is_plain, messages)):
            due = now + queue.settings.delay
            ids = [message.id for message in messages]
            if self._plain.add(queue.id, topic, first, due, now, ids) == len(messages):
                self._plain.add_bodies(first, [message.body for message in messages])
                return list(range(first, first + len(messages)))
        numbered = list(enumerate(messages, first))
        stored = self._add(queue, topic, numbered, now)
        if len(stored) < len(numbered):
            numbered = [one for one in numbered if one[0] in stored]
        self._bodies.add(numbered)
        return list(range(first, first + len(messages)))

    def add_plain(
        self,
        queue: int,
        topic: str,
        ids: Sequence[str],
        bodies: Sequence[str],
        due: float,
        now: float,
    ) -> bool:
        """As `add`, to a standard queue, of messages that are nothing but an id and a body. False
        when it holds some of them: then what was added is to be undone."""
        first = self._first_free(now)
        if self._plain.add(queue, topic, first, due, now, ids) < len(ids):
            return False
        self._plain.add_bodies(first, bodies)
        return True

    def _add_one(self, queue: QueueRow, topic: str, message: Message, now: float) -> int:
        """As `add`: the same row and body, with less around them."""
        seq = self.next_numbers(queue, 1, now)
        delay, group, fifo = message.delay, message.group, queue.fifo
        due = now + (queue.settings.delay if delay is None else delay)
        lane, tenant = (group, None) if fifo else (None, group)
        level = None if message.priority is None else LEVEL_OF.get(message.priority)
        row = (queue.id, seq, due, now, message.id, topic, lane, tenant, level, message.slot)
        self._insert_one(_INSERT, row)
        if not self._connection.changes():  # it is held already, or was until its retention ended
            self._drop_expired(queue, [message.id], now)
            self._insert_one(_INSERT, row)
            if not self._connection.changes():
                return seq
        self._bodies.add_one(seq, message)
        if fifo and group is not None:
            self._lanes.refresh(queue.id, [group])
        return seq

    def add_to_many(
        self,
        topic: str,
        entries: Sequence[tuple[QueueRow, Sequence[tuple[int, Message]]]],
        now: float,
    ) -> list[list[int]]:
        places = {id(one): (place, one) for _, messages in entries for place, one in messages}
        # In every queue numbers must rise as the places do.
        ordered = sorted(places.values(), key=itemgetter(0))
        queues = [queue.id for queue, _ in entries]
        first = self._next_numbers_of(entries, len(ordered), now)
        if self._add_plain_to_many(topic, entries, first, [one for _, one in ordered], now):
            return [list(range(first, first + len(ordered))) for _ in entries]
        numbers = {id(message): seq for seq, (_, message) in enumerate(ordered, first)}
        holders: Counter[int] = Counter()
        answers = []
        for queue, messages in entries:
            numbered = [(numbers[id(message)], message) for _, message in messages]
            if numbered:
                holders.update(self._add(queue, topic, numbered, now))
            answers.append([seq for seq, _ in numbered])
        stored = [
            (seq, message) for seq, (_, message) in enumerate(ordered, first) if seq in holders
        ]
        if stored:
            self._bodies.add(stored)
            if shared := [seq for seq, count in holders.items() if count > 1]:
                self._bodies.share(shared, queues)
        return answers

    def _add_plain_to_many(
        self,
        topic: str,
        entries: Sequence[tuple[QueueRow, Sequence[tuple[int, Message]]]],
        first: int,
        all_of_them: Sequence[Message],
        now: float,
    ) -> bool:
        """Whether every queue was to get all messages, as they are, and has got them."""
        count = len(all_of_them)
        if any(queue.fifo or len(some) != count for queue, some in entries):
            return False
        if not all(map(is_plain, all_of_them)):
            return False
        ids = [message.id for message in all_of_them]
        for queue, _ in entries:
            due = now + queue.settings.delay
            if self._plain.add(queue.id, topic, first, due, now, ids) < count:
                return False
        self._plain.add_bodies(first, [message.body for message in all_of_them])
        if len(entries) > 1:
            self._bodies.share(range(first, first + count), [queue.id for queue, _ in entries])
        return True

    def _add(
        self, queue: QueueRow, topic: str, messages: Sequence[tuple[int, Message]], now: float
    ) -> Collection[int]:
        """Add rows without their bodies; answers the numbers of those that were not there."""
        default = queue.settings.delay
        fifo = queue.fifo
        new = [
            (
                queue.id,
                seq,
                now + (default if message.delay is None else message.delay),
                now,
                message.id,
                topic,
                message.group if fifo else None,
                None if fifo else message.group,
                None if message.priority is None else LEVEL_OF.get(message.priority),
                message.slot,
            )
            for seq, message in messages
        ]
        added = self._insert(new)
        stored: Collection[int] = [row[1] for row in new]
        if added < len(new):  # some are held already, or were until their retention ended
            self._drop_expired(queue, [message.id for _, message in messages], now)
            self._insert(new)
            mine = encode([row[1] for row in new]).decode()
            stored = {
                seq
                for (seq,) in self._execute(
                    """SELECT seq FROM message
                       WHERE queue = ? AND seq IN (SELECT value FROM json_each(?))""",
                    (queue.id, mine),
                )
            }
        if fifo:
            groups = {message.group for _, message in messages if message.group}
            self._lanes.refresh(queue.id, groups)
        return stored

    def _insert(self, new: Sequence[tuple[Any, ...]]) -> int:
        """How many were new."""
        before = self._connection.total_changes()
        self._connection.executemany(_INSERT, new)
        return self._connection.total_changes() - before

    def _drop_expired(self, queue: QueueRow, ids: Sequence[str], now: float) -> None:
        expired = self._execute(
            """SELECT seq FROM message INDEXED BY message_id
               WHERE queue = ? AND id IN (SELECT value FROM json_each(?)) AND sent_at <= ?""",
            (queue.id, encode(ids).decode(), now - queue.settings.retention),
        )
        self._removal.drop_old(queue.id, [seq for (seq,) in expired])

    def _first_free(self, now: float) -> int:
        last = self._declared.last_body()
        return max(int(now * 1e6), 0 if last is None else last + 1)

    def next_numbers(self, queue: QueueRow, count: int, now: float) -> int:
        """The first of so many free numbers."""
        first = self._first_free(now)
        if queue.fifo:  # higher than those of deleted messages, though the clock was set back
            first = self._execute(
                """UPDATE queue SET sequence = max(sequence + 1, ?2) + ?3 - 1 WHERE id = ?1
                   RETURNING sequence - ?3 + 1""",
                (queue.id, first, count),
            ).get
        return first

    def _next_numbers_of(
        self,
        entries: Sequence[tuple[QueueRow, Sequence[tuple[int, Message]]]],
        count: int,
        now: float,
    ) -> int:
        """As `_next_numbers`, free in all these queues."""
        first = self._first_free(now)
        ordered = encode([queue.id for queue, messages in entries if queue.fifo and messages])
        if ordered != b"[]":
            of_these = "id IN (SELECT value FROM json_each(?1))"
            highest: int = self._execute(
                f"SELECT max(sequence) FROM queue WHERE {of_these}", (ordered.decode(),)
            ).get
            first = max(first, highest + 1)
            self._execute(
                f"UPDATE queue SET sequence = ?2 WHERE {of_these}",
                (ordered.decode(), first + count - 1),
            )
        return first

    def move(self, queue: int, rows: Sequence[Moved], now: float) -> list[bool]:
        return [self._move(queue, row, to, source, now) for row, to, source in rows]

    def _move(self, queue: int, row: Row, to: QueueRow, source: int | None, now: float) -> bool:
        if not self._removal.drop(queue, [row.seq]):
            return False
        self._removal.drop(
            to.id,
            [
                seq
                for (seq,) in self._execute(
                    "SELECT seq FROM message WHERE queue = ? AND id = ? AND topic = ?",
                    (to.id, row.id, row.topic),
                )
            ],
        )
        seq = self.next_numbers(to, 1, now)
        extra = read_extra(row.extra)
        group = extra.group
        before = extra.received + row.receive_count if source is not None else 0
        self._execute(
            """INSERT INTO message
                   (queue, seq, visible_at, sent_at, id, topic, source, lane, tenant, level, slot)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            (
                to.id,
                seq,
                now,
                row.sent_at,
                row.id,
                row.topic,
                source,
                group if to.fifo else None,
                None if to.fifo else group,
                # A dead letter has no level and no slot until it comes back.
                LEVEL_OF.get(extra.priority) if source is None and not to.fifo else None,
                extra.slot if source is None else None,
            ),
        )
        self._bodies.put(seq, row.body, row.attributes, with_received(row.extra, before))
        if source is not None:
            self._letters.note(to.id, seq, source, row.attributes, now, before)
        if to.fifo and group is not None:
            self._lanes.refresh(to.id, [group])
        return True
