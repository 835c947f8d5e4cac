"""Removing rows, in SQL: settled ones, dropped ones, and what is past its retention."""

import logging
from collections.abc import Collection, Sequence
from typing import Any

import apsw

from taskflow.stores.row import ANY, Held
from taskflow.stores.sqlite.bodies import SqliteBodies
from taskflow.stores.sqlite.bookkeeping import Books
from taskflow.stores.sqlite.columns import encode
from taskflow.stores.sqlite.lanes import Lanes

log = logging.getLogger("taskflow.store")

_REMOVE = """DELETE FROM message WHERE queue = ?1 AND seq = ?2
               AND (?3 = -1 AND receive_count > 0 OR (receipt & -3) = ?3)
               AND (?4 IS NULL OR visible_at > ?4)"""
_REMOVE_HELD = "DELETE FROM message WHERE queue = ?1 AND seq = ?2 AND (receipt & -3) = ?3"


class Removal:
    """Each removed row takes the body that is its alone with it."""

    def __init__(
        self, connection: apsw.Connection, bodies: SqliteBodies, lanes: Lanes, books: Books
    ) -> None:
        self._connection = connection
        self._execute = connection.cursor().execute  # making one costs more than to use it
        self._bodies = bodies
        self._lanes = lanes
        self._books = books
        self._complained: set[int] = set()

    def remove(
        self,
        queue: int,
        held: Sequence[Held],
        hidden_at: float | None,
        remember: Sequence[tuple[str, str, float] | None],
        now: float,
    ) -> list[bool]:
        lanes = self._lanes.of(queue, [one.seq for one in held])
        # One by one: a list of them as JSON costs more, whatever its length.
        if hidden_at is None and all(one.receipt != ANY for one in held):
            done = [self._changed(_REMOVE_HELD, (queue, *one)) for one in held]
        else:
            done = [self._changed(_REMOVE, (queue, *one, hidden_at)) for one in held]
        self._bodies.forget([one.seq for one, ok in zip(held, done, strict=True) if ok])
        self._lanes.refresh(queue, lanes)
        kept = [one for one, ok in zip(remember, done, strict=True) if ok and one is not None]
        if kept:
            self._books.remember(queue, kept, now)
        return done

    def drop(self, queue: int, seqs: Collection[int]) -> int:
        lanes = self._lanes.of(queue, seqs)
        self._execute(
            "DELETE FROM message WHERE queue = ? AND seq IN (SELECT value FROM json_each(?))",
            (queue, encode(list(seqs)).decode()),
        )
        gone = self._connection.changes()
        self._bodies.forget(seqs)
        self._lanes.refresh(queue, lanes)
        return gone

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
            self.drop_old(queue, [seq for seq, sent_at in front if sent_at <= sent_before])

    def drop_old(self, queue: int, seqs: Collection[int]) -> None:
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

    def _changed(self, sql: str, values: tuple[Any, ...]) -> bool:
        self._execute(sql, values)
        return self._connection.changes() > 0
