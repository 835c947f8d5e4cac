"""The store verbs in SQL. One instance per connection; the caller holds the transaction.

CROSS JOIN fixes the order of a join (SQLite never reorders one): the few ids of a batch
look up their rows, not the other way round. INDEXED BY names the index where SQLite, which keeps no
statistics here, would rather read a whole queue in order.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

import apsw

from taskflow.broker.settings import Lease
from taskflow.message import Message
from taskflow.stores.base import SPOKEN, Held, QueueRow, Row
from taskflow.stores.sqlite.bodies import SqliteBodies
from taskflow.stores.sqlite.bookkeeping import BookRows
from taskflow.stores.sqlite.declared import DeclaredRows
from taskflow.stores.sqlite.extra import read_extra, with_received
from taskflow.stores.sqlite.fifo import COLUMNS, FRESH, FifoRows, encode
from taskflow.stores.sqlite.records import SqliteRecords

T = TypeVar("T")

log = logging.getLogger("taskflow.store")

NEVER = float("-inf")
_INSERT = """INSERT INTO message (queue, seq, visible_at, sent_at, id, topic, lane, tenant)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""


class SqliteRows(DeclaredRows, FifoRows, BookRows):
    """`Rows` over one SQLite connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        DeclaredRows.__init__(self, connection)
        FifoRows.__init__(self, connection)
        # One cursor for all single inserts: making one costs more than to use it.
        self._insert_one = connection.cursor().execute
        self._complained: set[int] = set()
        self.records = SqliteRecords(connection)
        self.bodies = SqliteBodies(connection)

    def sweep(self, limit: int) -> int:
        return self.bodies.sweep(limit)

    def undoing(self, work: Callable[[], T]) -> T:
        self._insert_one("SAVEPOINT part")
        try:
            answer = work()
        except BaseException:
            self._insert_one("ROLLBACK TO part")
            self._insert_one("RELEASE part")
            raise
        self._insert_one("RELEASE part")
        return answer

    # ---- messages ---------------------------------------------------------------------------
    def add(self, queue: QueueRow, topic: str, messages: Sequence[Message], now: float) -> int:
        first = self._next_numbers(queue, len(messages), now)
        numbered = list(enumerate(messages, first))
        stored = self._add(queue, topic, numbered, now)
        self.bodies.add([one for one in numbered if one[0] in stored])
        return first

    def add_to_many(
        self, topic: str, entries: Sequence[tuple[QueueRow, Sequence[Message]]], now: float
    ) -> list[list[int]]:
        distinct = {id(message): message for _, messages in entries for message in messages}
        queues = [queue.id for queue, _ in entries]
        first = self._next_numbers_of(entries, len(distinct), now)
        numbers = {key: seq for seq, key in enumerate(distinct, first)}
        holders: Counter[int] = Counter()
        answers = []
        for queue, messages in entries:
            numbered = [(numbers[id(message)], message) for message in messages]
            if numbered:
                holders.update(self._add(queue, topic, numbered, now))
            answers.append([seq for seq, _ in numbered])
        stored = [(seq, distinct[key]) for key, seq in numbers.items() if seq in holders]
        if stored:
            self.bodies.add(stored)
            if shared := [seq for seq, count in holders.items() if count > 1]:
                self.bodies.share(shared, queues)
        return answers

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
            )
            for seq, message in messages
        ]
        added = self._insert(new)
        stored = [seq for seq, _ in messages]
        if added < len(new):  # some are held already, or were until their retention ended
            self._drop_expired(queue, [message.id for _, message in messages], now)
            self._insert(new)
            stored = [
                seq
                for (seq,) in self._execute(
                    "SELECT seq FROM message WHERE queue = ? AND seq >= ?", (queue.id, stored[0])
                )
            ]
        if fifo:
            self._refresh(queue.id, {message.group for _, message in messages if message.group})
        return stored

    def _insert(self, new: Sequence[tuple[Any, ...]]) -> int:
        """How many were new."""
        if len(new) == 1:
            self._insert_one(_INSERT, new[0])
            return self._connection.changes()
        before = self._connection.total_changes()
        self._connection.executemany(_INSERT, new)
        return self._connection.total_changes() - before

    def _drop_expired(self, queue: QueueRow, ids: Sequence[str], now: float) -> None:
        expired = self._execute(
            """SELECT seq FROM message INDEXED BY message_id
               WHERE queue = ? AND id IN (SELECT value FROM json_each(?)) AND sent_at <= ?""",
            (queue.id, encode(ids).decode(), now - queue.settings.retention),
        )
        self._expired(queue.id, [seq for (seq,) in expired])

    def _next_numbers(self, queue: QueueRow, count: int, now: float) -> int:
        """The first of so many free numbers."""
        last = self.bodies.last()
        first = max(int(now * 1e6), 0 if last is None else last + 1)
        if queue.fifo:  # higher than those of deleted messages, though the clock was set back
            first = self._execute(
                """UPDATE queue SET sequence = max(sequence + 1, ?2) + ?3 - 1 WHERE id = ?1
                   RETURNING sequence - ?3 + 1""",
                (queue.id, first, count),
            ).get
        return first

    def _next_numbers_of(
        self, entries: Sequence[tuple[QueueRow, Sequence[Message]]], count: int, now: float
    ) -> int:
        """As `_next_numbers`, free in all these queues."""
        last = self.bodies.last()
        first = max(int(now * 1e6), 0 if last is None else last + 1)
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

    def due(
        self, queue: QueueRow, now: float, limit: int, without_lapsed: bool = False
    ) -> list[Row]:
        look = self._due_fresh if without_lapsed else self._due
        if queue.fifo:
            look = self._due_in_fresh_lanes if without_lapsed else self._due_in_lanes
        found = look(queue.id, now, limit, NEVER)
        kept_from = now - queue.settings.retention
        if found and found[0].sent_at <= kept_from:
            # There may be a million more of them: drop some, and look behind the others.
            self.expire(queue.id, kept_from)
            found = look(queue.id, now, limit, kept_from)
        return found

    def _due(self, queue: int, now: float, limit: int, after: float) -> list[Row]:
        """Visible since some time after `after`. (Who was before then was sent before then.)"""
        return [
            Row._make(found)
            for found in self._execute(
                f"""SELECT {COLUMNS} FROM message m JOIN body p ON p.seq = m.seq
                    WHERE m.queue = ? AND m.visible_at <= ? AND m.visible_at > ?
                    ORDER BY m.visible_at, m.seq LIMIT ?""",
                (queue, now, after, limit),
            )
        ]

    def _due_fresh(self, queue: int, now: float, limit: int, after: float) -> list[Row]:
        """As `_due`, without those whose lease lapsed."""
        return [
            Row._make(found)
            for found in self._execute(
                f"""SELECT {COLUMNS} FROM message m JOIN body p ON p.seq = m.seq
                    WHERE m.queue = ? AND m.visible_at <= ? AND m.visible_at > ?
                      AND {FRESH}
                    ORDER BY m.visible_at, m.seq LIMIT ?""",
                (queue, now, after, limit),
            )
        ]

    def any_due(self, queue: QueueRow, now: float) -> bool:
        table, column = ("lane", "ready_at") if queue.fifo else ("message", "visible_at")
        found = self._execute(
            f"SELECT 1 FROM {table} WHERE queue = ? AND {column} <= ? LIMIT 1", (queue.id, now)
        ).get
        return found is not None

    def next_due(self, queue: QueueRow, now: float) -> float | None:
        table, column = ("lane", "ready_at") if queue.fifo else ("message", "visible_at")
        found: float | None = self._execute(
            f"SELECT min({column}) FROM {table} WHERE queue = ? AND {column} > ?", (queue.id, now)
        ).get
        return found

    def delay_again(self, queue: int, delay: float) -> None:
        self._execute(
            """UPDATE message SET visible_at = sent_at + ?
               WHERE queue = ? AND receive_count = 0 AND receipt IS NULL""",
            (delay, queue),
        )
        lanes = self._execute("SELECT name FROM lane WHERE queue = ?", (queue,))
        self._refresh(queue, [lane for (lane,) in list(lanes)])

    def count_in_flight(self, queue: int, now: float, most: int) -> int:
        found: int = self._execute(
            """SELECT count(*) FROM (SELECT 1 FROM message WHERE queue = ? AND visible_at > ?
                                     AND receipt IS NOT NULL LIMIT ?)""",
            (queue, now, most),
        ).get
        return found

    def hold(
        self,
        queue: int,
        seqs: Sequence[int],
        receipt: int,
        until: float,
        now: float,
        count: int = 1,
    ) -> None:
        self._execute(
            """UPDATE message SET visible_at = ?, receive_count = receive_count + ?, receipt = ?,
                                  first_received_at = coalesce(first_received_at, ?)
               WHERE queue = ? AND seq IN (SELECT value FROM json_each(?))""",
            (until, count, receipt, now, queue, encode(seqs).decode()),
        )
        self._refresh(queue, self._lanes_of(queue, seqs))

    def find(self, queue: int, held: Sequence[Held]) -> list[Row | None]:
        found = [
            self._execute(
                f"""SELECT {COLUMNS} FROM message m JOIN body p ON p.seq = m.seq
                    WHERE m.queue = ? AND m.seq = ? AND (m.receipt & -3) = ?""",
                (queue, seq, receipt),
            ).get
            for seq, receipt in held
        ]
        return [None if row is None else Row._make(row) for row in found]

    def leases(self, queue: int, held: Sequence[Held], now: float) -> list[Lease]:
        return [self._lease(queue, one, now) for one in held]

    def _lease(self, queue: int, held: Held, now: float) -> Lease:
        found = self._execute(
            "SELECT receipt, visible_at FROM message WHERE queue = ? AND seq = ?",
            (queue, held.seq),
        ).get
        if found is None:
            return "gone"
        receipt, visible_at = found
        if receipt is None or receipt & ~SPOKEN != held.receipt:
            return "stale"
        return "held" if visible_at > now else "lapsed"

    def remove(self, queue: int, held: Sequence[Held], hidden_at: float | None) -> list[bool]:
        lanes = self._lanes_of(queue, [one.seq for one in held])
        gone = {  # one by one: a list of them as JSON costs more, whatever its length
            one
            for one in held
            if self._changed(
                """DELETE FROM message WHERE queue = ?1 AND seq = ?2
                     AND (?3 = -1 AND receive_count > 0 OR (receipt & -3) = ?3)
                     AND (?4 IS NULL OR visible_at > ?4)""",
                (queue, one.seq, one.receipt, hidden_at),
            )
        }
        self.bodies.forget([one.seq for one in gone])
        self._refresh(queue, lanes)
        return [one in gone for one in held]

    def drop(self, queue: int, seqs: Collection[int]) -> None:
        lanes = self._lanes_of(queue, seqs)
        self._execute(
            "DELETE FROM message WHERE queue = ? AND seq IN (SELECT value FROM json_each(?))",
            (queue, encode(list(seqs)).decode()),
        )
        self.bodies.forget(seqs)
        self._refresh(queue, lanes)

    def hide(
        self, queue: int, held: Sequence[tuple[Held, float]], now: float, spoken: bool
    ) -> list[bool]:
        hidden = [
            self._changed(
                """UPDATE message SET visible_at = ?1, receipt = (receipt & -3) | ?2
                   WHERE queue = ?3 AND seq = ?4 AND visible_at > ?5
                     AND receipt IS NOT NULL AND (?6 = -1 OR (receipt & -3) = ?6)""",
                (until, SPOKEN if spoken else 0, queue, seq, now, receipt),
            )
            for (seq, receipt), until in held
        ]
        self._refresh(queue, self._lanes_of(queue, [one.seq for one, _ in held]))
        return hidden

    def release(self, queue: int, held: Sequence[Held], now: float) -> list[bool]:
        released = [
            self._changed(
                """UPDATE message
                   SET visible_at = ?, receive_count = receive_count - 1, receipt = NULL
                   WHERE queue = ? AND seq = ? AND (receipt & -3) = ?""",
                (now, queue, seq, receipt),
            )
            for seq, receipt in held
        ]
        self._refresh(queue, self._lanes_of(queue, [one.seq for one in held]))
        return released

    def _changed(self, sql: str, values: tuple[Any, ...]) -> bool:
        self._execute(sql, values)
        return self._connection.changes() > 0

    def move(self, queue: int, row: Row, to: QueueRow, source: int | None, now: float) -> None:
        self.drop(queue, [row.seq])
        self.drop(
            to.id,
            [
                seq
                for (seq,) in self._execute(
                    "SELECT seq FROM message WHERE queue = ? AND id = ? AND topic = ?",
                    (to.id, row.id, row.topic),
                )
            ],
        )
        seq = self._next_numbers(to, 1, now)
        extra = read_extra(row.extra)
        group = extra.group
        before = extra.received + row.receive_count if source is not None else 0
        self._execute(
            """INSERT INTO message
                   (queue, seq, visible_at, sent_at, id, topic, source, lane, tenant)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
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
            ),
        )
        self.bodies.put(seq, row.body, row.attributes, with_received(row.extra, before))
        if to.fifo and group is not None:
            self._refresh(to.id, [group])

    def select(self, queue: int, ids: Collection[str], limit: int) -> list[Row]:
        index, chosen = "", ""
        if ids:
            index = "INDEXED BY message_id"
            chosen = "AND m.id IN (SELECT value FROM json_each(?2))"
        return [
            Row._make(found)
            for found in self._execute(
                f"""SELECT {COLUMNS} FROM message m {index} JOIN body p ON p.seq = m.seq
                    WHERE m.queue = ?1 {chosen} ORDER BY m.seq LIMIT ?3""",
                (queue, json.dumps(list(ids)), limit),
            )
        ]

    def any_sent_before(self, queue: int, sent_before: float) -> bool:
        oldest: float | None = self._execute(
            "SELECT sent_at FROM message WHERE queue = ? ORDER BY seq LIMIT 1", (queue,)
        ).get
        return oldest is not None and oldest <= sent_before

    def expire(self, queue: int, sent_before: float) -> None:
        if self.any_sent_before(queue, sent_before):
            front = self._execute(
                "SELECT seq, sent_at FROM message WHERE queue = ? ORDER BY seq LIMIT 1000", (queue,)
            )
            self._expired(queue, [seq for seq, sent_at in front if sent_at <= sent_before])

    def _expired(self, queue: int, seqs: Collection[int]) -> None:
        if not seqs:
            return
        self.drop(queue, seqs)
        name: str = self._execute(
            "UPDATE queue SET expired = expired + ? WHERE id = ? RETURNING name",
            (len(seqs), queue),
        ).get
        if queue not in self._complained:
            self._complained.add(queue)
            log.warning(
                "queue=%s drops messages that nobody handled within its retention; "
                "`taskflow queues` counts them",
                name,
            )
