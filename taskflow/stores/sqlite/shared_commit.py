"""One transaction for what several threads store at the same time."""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import apsw

from taskflow.errors import BrokerUnavailable
from taskflow.stores.sqlite.database import Database
from taskflow.stores.sqlite.durability import Durability
from taskflow.uninterrupted import uninterrupted

Values = Sequence[Any]
MOST = 100  # in one transaction: others wait for it
CLOSED = (apsw.ConnectionClosedError, apsw.CursorClosedError)
"""The connection is: for good, or for a fork (a handler of signals may make one anywhere)."""


class _Entry:
    __slots__ = ("connection", "file", "stored", "unknown", "values")

    def __init__(self, values: Values, connection: apsw.Connection) -> None:
        self.values = values
        self.connection = connection
        self.stored: bool | None = None
        """None while it waits for somebody to store it."""
        self.unknown = False
        """Whether nobody can say."""
        self.file = 0


class SharedCommit:
    """Whoever has the lock stores what all have brought who wait for it: nobody waits longer for
    that, and they wait for the disk together. Thread-safe.

    Both are called with the lock held: `prepare` before a transaction begins, and `insert`, which
    adds one entry, and answers False when it did not.
    """

    def __init__(
        self,
        database: Database,
        durability: Durability,
        prepare: Callable[[], None],
        insert: Callable[[Values], bool],
    ) -> None:
        self._database = database
        self._reading, self._writing = database.reading, database.writing
        self._durability = durability
        self._prepare = prepare
        self._insert = insert
        self._waiting: deque[_Entry] = deque()

    @uninterrupted
    def store(self, values: Values) -> bool:
        """Have it committed; False when it is not, and will not be. Raises BrokerUnavailable."""
        one = _Entry(values, self._database.connection)
        inside = self._reading.holds()
        self._waiting.append(one)
        try:
            with self._reading:
                while one.stored is None:  # else somebody who had the lock before has stored it
                    if not self._waiting:  # whoever took it from there was interrupted at once
                        one.stored = False
                        break
                    self._store_some(inside)
        except BaseException as error:
            try:
                with suppress(ValueError):
                    self._waiting.remove(one)
                if not inside:
                    self._reading.let_go(error)
            finally:
                if not inside:
                    try:  # as `Reading.let_go` says
                        self._reading.free()
                    except RuntimeError:
                        pass
            raise
        if one.unknown:
            raise BrokerUnavailable("the thread that stored it was interrupted: it may be stored")
        if one.stored:
            self._durability.adopt_commit(one.file)
        return bool(one.stored)

    def _store_some(self, inside: bool) -> None:
        """`inside`: this thread had the lock before, in a block, or out of a handler of signals
        that came while it stored."""
        some: list[_Entry] = []
        try:
            while self._waiting and len(some) < MOST:
                some.append(self._waiting.popleft())
        except IndexError:  # others take away what is theirs, if they are interrupted
            pass
        for one in some:
            one.stored = False
        # What this thread is in, or has left behind: others are not to be a part of that.
        if self._writing.depth or not (inside or self._writing.is_clear()):
            return
        # In a fork, what threads of the parent had brought is not this process's.
        mine = [one for one in some if one.connection is self._database.connection]
        if mine:
            self._prepare()
        try:
            if len(mine) == 1:
                mine[0].stored = self._insert(mine[0].values)
            elif mine:
                self._store_together(mine)
            if True in [one.stored for one in mine]:
                self._durability.count_commit()
                for one in mine:
                    one.file = self._durability.last_commit()
        except BaseException:
            for one in mine:  # it may not be counted for the disk
                one.unknown = one.unknown or bool(one.stored)
            raise

    def _store_together(self, some: Sequence[_Entry]) -> None:
        execute = self._database.connection.execute
        try:
            execute("BEGIN IMMEDIATE")
            stored = [self._insert(one.values) for one in some]
            execute("COMMIT")
        except CLOSED:  # for a fork that this thread made within: nothing of it is stored
            return
        except BaseException as error:
            for one in some:  # an error of SQLite undoes all; what else comes may come after it
                one.unknown = not isinstance(error, apsw.Error)
            with suppress(apsw.Error):
                execute("ROLLBACK")
            raise
        for one, is_stored in zip(some, stored, strict=True):
            one.stored = is_stored
