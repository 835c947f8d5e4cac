"""The SQLite store: one file (or `:memory:`), one connection per process, WAL."""

import logging
from collections.abc import Callable, Hashable
from functools import partial
from pathlib import Path
from typing import TypeVar

from taskflow.broker.own_sql import Sql
from taskflow.broker.prompt import WouldWait
from taskflow.clock import Clock
from taskflow.errors import BrokerFileError, FileReplaced
from taskflow.stores.rows import Rows
from taskflow.stores.sqlite.database import Database
from taskflow.stores.sqlite.durability import Durability
from taskflow.stores.sqlite.file_copy import back_up
from taskflow.stores.sqlite.gathering import Gathering
from taskflow.stores.sqlite.notifier import Notifier
from taskflow.stores.sqlite.own_sql import SqliteSql
from taskflow.stores.sqlite.plain_keeping import SqlitePlainKeeping
from taskflow.stores.sqlite.plain_way import SqlitePlainWay
from taskflow.stores.sqlite.rows import SqliteRows
from taskflow.uninterrupted import uninterrupted

T = TypeVar("T")
Done = Callable[[T], None] | None
_PATIENCE = 1.0  # seconds that a look waits for another process, to see what has just arrived
log = logging.getLogger("taskflow.store")


class SqliteStore:
    """Rows in SQLite: transactions over a `Database`, which is the file and its connection, a
    `Notifier`, by which other processes hear of changes, and their `Durability`.

    `path` is None for `:memory:` (one process); a relative one means the folder of now for good.
    `durable` makes `sync` wait for the disk. `create=False` refuses a file that does not exist.
    `accept` is called with the rows of each file that is opened, and raises BrokerFileError for one
    that is not what it should be. Raises BrokerFileError when the file cannot be used.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        durable: bool,
        create: bool = True,
        accept: Callable[[Rows], None] | None = None,
    ) -> None:
        self._path = None if path is None else path.absolute()
        self._durability = Durability(self._path, durable=durable)
        self._notifier = bell = Notifier()
        self._database = Database(
            self._path, self._durability, self._notifier, create=create, accept=accept
        )
        self._reading, self._writing = self._database.reading, self._database.writing
        self._haste = self._database.haste
        self._fence: Callable[[SqliteRows, bool], None] | None = None
        self.poll_interval = None if path is None else 1.0
        self.durable = self._durability.durable

        self._count_commit = self._durability.count_commit
        self.check, self.is_there = self._database.check, self._database.is_there
        self.never_create, self.hurry = self._database.never_create, self._database.hurry
        self.close, self.is_open = self._database.close, self._reading.is_open
        self.ring, self.wake, self.reaches = bell.ring, bell.wake, bell.reaches
        self.listen, self.ignore, self.hears = bell.listen, bell.ignore, bell.hears
        self.hear = bell.hear
        self.plain_way = partial(
            SqlitePlainWay,
            self._database,
            self._durability,
            self.sync,
            transact=self.transact,
            reaches=self.reaches,
        )
        """As `TakesPlain`; of one of several files with more (`SqlitePlainWay`)."""

    def fence(self, fence: Callable[[SqliteRows, bool], None]) -> None:
        """From now on call this within each transaction before its work, and after each look: what
        it raises undoes the transaction, and keeps what was seen to itself. It is called before
        each step, which is committed by itself, and changes nothing when the stamp is another than
        it was then: so it is told of a step whose statement `asks` for the stamp."""
        self._fence = fence

    @uninterrupted
    def transact(
        self,
        work: Callable[[Rows], T],
        *,
        durable: bool = False,
        committed: Done[T] = None,
        alone: bool = False,
        asks: bool = False,
    ) -> T:
        for last in (False, True):
            try:
                return self._transact(work, durable, committed, asks)
            except FileReplaced:  # nobody was answered: into the new file with it
                if last or self._writing.is_mine():
                    raise
        raise AssertionError("unreachable")

    @uninterrupted
    def within(self, work: Callable[[Sql], T]) -> T:
        """As `OwnSql.within`."""

        def call(rows: Rows) -> T:
            sql = SqliteSql(self._database.connection)
            try:
                return work(sql)
            finally:
                sql.close()

        # What has arrived is taken over before, apart: it may last, and who looks meanwhile, in
        # another process, would have to wait for it.
        self.look(lambda _: None)
        return self._transact(call, True, None, False)

    @uninterrupted
    def _transact(
        self, work: Callable[[Rows], T], durable: bool, committed: Done[T], asks: bool
    ) -> T:
        writing = self._writing
        inside = writing.holds()
        later: list[Callable[[], None]] = []
        try:
            with writing as rows:
                if self._fence is not None and writing.outermost:
                    self._fence(writing.rows, asks)
                answer = work(rows)
                if writing.depth > 1:  # a part of another: others see it when that is committed
                    if committed is not None:
                        writing.later.append(partial(committed, answer))
                    writing.owes = writing.owes or durable
                    return answer
                if writing.later:
                    later, writing.later = writing.later, []
        except BaseException as error:
            if not inside:
                try:
                    writing.let_go(error)
                finally:
                    try:  # as `Reading.let_go` says
                        writing.free()
                    except RuntimeError:
                        pass
            raise
        if committed is not None:
            committed(answer)
        for call in later:
            call()
        if durable:
            self.sync()
        return answer

    def plain_keeping(self) -> SqlitePlainKeeping:
        return SqlitePlainKeeping(self._database, self._durability)

    def in_haste(self) -> bool:
        """Whether this thread gathers calls here."""
        return self._haste.on

    def gathering(self, patience: float | None) -> Gathering:
        return Gathering(self._writing, self._haste, patience, self._settle_gathering)

    def _settle_gathering(self, durable: bool) -> Callable[[], None] | None:
        if durable and self._durability.disk is not None:
            return partial(self._sync_change, self._durability.last_commit())
        if durable:
            self.check()
        return None

    @uninterrupted
    def _sync_change(self, number: int) -> None:
        self._durability.adopt_commit(number)
        self.sync()

    @uninterrupted
    def single(
        self,
        work: Callable[[Rows], T],
        *,
        durable: bool = False,
        committed: Done[T] = None,
    ) -> T:
        haste = self._haste
        if not haste.on:  # one statement more or less costs nothing here
            return self.transact(work, durable=durable, committed=committed)
        haste.bare = True
        try:
            return self.transact(work, durable=durable, committed=committed)
        finally:
            haste.bare = False

    @uninterrupted
    def step(self, work: Callable[[Rows], T], *, rung: bool = False) -> T:
        if self._haste.on:
            return self._hasty_step(work)
        if rung:  # with what has arrived; to ask whether anything has would be a look of its own
            return self.transact(work, asks=True)
        return self._ask(work, commits=True)  # one statement: SQLite commits it

    def _hasty_step(self, work: Callable[[Rows], T]) -> T:
        """A transaction after all: what waits is told so, and what is gathered may be undone. If
        it changes nothing, another may follow."""

        def step(rows: Rows) -> tuple[T, bool]:
            before = self._database.connection.total_changes()
            return work(rows), before != self._database.connection.total_changes()

        answer, self._haste.changed = self.single(step)
        return answer

    @uninterrupted
    def look(self, work: Callable[[Rows], T], *, kept: bool = False) -> T:
        return self._ask(work, commits=False, kept=kept)

    def _ask(self, work: Callable[[Rows], T], *, commits: bool, kept: bool = False) -> T:
        reading, hasty = self._reading, self._haste.on
        inside = reading.holds()
        try:
            with reading:
                if not inside:
                    self._writing.clear()
                if not (kept or self._writing.depth) and reading.rows.arrivals.any():
                    if commits:
                        return self.transact(work, asks=True)
                    self._take_over_arrivals()
                if self._writing.depth:
                    return work(reading.rows)
                if commits and self._fence is not None:
                    self._fence(reading.rows, True)
                answer = work(reading.rows)
                if commits:
                    self._count_commit()
                elif self._fence is not None:
                    self._fence(reading.rows, False)
                return answer
        except BaseException as error:
            if not inside:  # it may have been taking over
                try:
                    self._writing.let_go(error)
                finally:
                    try:  # as `Reading.let_go` says
                        reading.free()
                    except RuntimeError:
                        pass
                    self._haste.on = hasty
            raise

    def _take_over_arrivals(self) -> None:
        """Before a look. Where another process keeps all from writing, or the disk is full, it sees
        what there was before. (No fence: whoever may not see it is told after the look.)"""
        haste = self._haste
        if haste.on:
            changed = haste.changed
            self._writing.run(lambda: None)  # each transaction begins with that
            haste.changed = changed  # for whoever asks, it changes nothing
            return
        try:
            haste.begin(_PATIENCE)
            self._writing.run(lambda: None)
        except (WouldWait, BrokerFileError) as error:
            why = "locked by another process" if isinstance(error, WouldWait) else error
            log.warning("what was just published is not seen yet: %s: %s", self._path, why)
        finally:
            haste.end()

    @uninterrupted
    def version(self) -> Hashable:
        return self._reading.run(self._version)

    def _version(self) -> Hashable:
        connection = self._database.connection
        return connection.pragma("data_version"), connection.total_changes()

    def time(self, clock: Clock) -> Callable[[], float]:
        return clock.now  # one machine, one clock

    @uninterrupted
    def sync(self, everybodys: bool = False) -> None:
        if self._path is None or self._writing.is_mine():  # else when that is committed
            return
        self._durability.wait(self._data_version if everybodys else None)
        self.check()
        self._durability.check_commit()

    @uninterrupted
    def sync_file(self) -> None:
        """Return when everything that is committed survives a power cut, whatever was asked for.
        Nobody forks meanwhile, which takes the WAL away. Raises BrokerFileError."""
        self._reading.run(self._durability.sync_file)

    @uninterrupted
    def _data_version(self) -> int:
        return self._reading.run(lambda: self._database.connection.data_version())

    def back_up(self, to: Path) -> None:
        self.check()
        back_up(self._path, to)
