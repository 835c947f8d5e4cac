"""The SQLite store: one file (or `:memory:`), one connection per process, WAL."""

import logging
import os
import threading
from collections.abc import Callable, Collection, Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import apsw

from taskflow import forking
from taskflow.broker.own_sql import Sql
from taskflow.broker.prompt import WouldWait
from taskflow.clock import Clock
from taskflow.errors import BrokerFileError, BrokerUnavailable, FileReplaced
from taskflow.stores.rows import Rows
from taskflow.stores.sqlite.connecting import check_sqlite_version, connect, make_private
from taskflow.stores.sqlite.doorbell import Doorbell
from taskflow.stores.sqlite.durability import Checkpointer, DiskSync
from taskflow.stores.sqlite.file_copy import back_up
from taskflow.stores.sqlite.gathering import Gathering
from taskflow.stores.sqlite.haste import Haste
from taskflow.stores.sqlite.identity import FileIdentity
from taskflow.stores.sqlite.migration import prepare
from taskflow.stores.sqlite.own_sql import SqliteSql
from taskflow.stores.sqlite.patience import Patience
from taskflow.stores.sqlite.rows import SqliteRows
from taskflow.stores.sqlite.transaction import (
    Reading,
    Writing,
    folder_exists,
    translate,
)

T = TypeVar("T")

log = logging.getLogger("taskflow.store")


class SqliteStore:
    """Rows in SQLite.

    `path` is None for `:memory:` (one process); a relative one means the folder of now for good.
    `durable` makes `sync` wait for the disk. `create=False` refuses a file that does not exist.
    `accept` is called with the rows of each file that is opened, and raises BrokerFileError for one
    that is not what it should be. Raises BrokerFileError when the file cannot be used.

    The connection belongs to a process and to a file. It is closed before a fork and opened anew on
    both sides; when the path means another file than it did, the next `check` or `sync` opens that
    one.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        durable: bool,
        create: bool = True,
        accept: Callable[[Rows], None] | None = None,
    ) -> None:
        check_sqlite_version(apsw.sqlite_lib_version())
        self._path = None if path is None else path.absolute()
        self._create = create
        self._accept = accept
        self._lock = threading.RLock()
        self._closed = False
        self._pid = os.getpid()
        self._rests = False  # before a fork
        self._bell: Doorbell | None = None
        self._listens = False
        self._disk: DiskSync | None = None
        self._checkpointer: Checkpointer | None = None
        self._file: FileIdentity | None = None
        self._generation = 0  # of the file; one more each time it was found to be another
        self._committed_in = threading.local()
        self._fence: Callable[[SqliteRows], None] | None = None
        haste = self._haste = Haste()
        self._patience = Patience(haste)
        self.poll_interval = None if path is None else 1.0
        self.durable = durable and path is not None
        self._reading = Reading(self._path, haste, self._renew)
        self._writing = Writing(
            self._path, haste, self._renew, self._count_commit, self._commit_syncs
        )
        with forking.quiet(), self._translated():
            self._open()
            forking.tell(self)

    def _open(self) -> None:
        """Open the file that the path means now. Raises apsw's errors, BrokerFileError."""
        path = self._path
        if path is not None and not self._create and folder_exists(path) and not path.exists():
            raise BrokerFileError(f"{path} does not exist; the first worker or publish makes it")
        real = None if path is None else Path(os.path.realpath(path))
        if real is not None:
            make_private(real)
        connection = connect(real)
        connection.set_busy_handler(self._patience)
        try:
            prepare(connection, real)
            if real is not None:
                connection.pragma("journal_mode", "wal")
                connection.pragma("user_version")  # a first look makes the WAL
            rows = SqliteRows(connection)
            if self._accept is not None:
                self._accept(rows)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        if path is not None and real is not None:
            if self._bell is None:
                self._bell = Doorbell(real)
            if self._listens:
                self._bell.listen()
            self._checkpointer = Checkpointer(lambda: connect(real, checkpoints=False))
            connection.set_wal_hook(self._wal_grew)
            self._disk = DiskSync(real) if self.durable else None
            self._file = FileIdentity(path, real)
        self._pid = os.getpid()
        for block in (self._reading, self._writing):
            execute, idle = connection.cursor().execute, connection.get_autocommit
            block.use(self._pid, self._lock, rows, execute, idle)

    def _let_go(self, *, checkpoint: bool) -> None:
        """Close what `_open` opened; without a checkpoint when the file is another's by now."""
        for block in (self._reading, self._writing):
            block.leave()
        if self._checkpointer is not None:
            self._checkpointer.close()
        if not checkpoint:
            self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._connection.close()

    def never_create(self) -> None:
        """From now on a file that is missing is an error, and is not made anew."""
        self._create = False

    def fence(self, fence: Callable[[SqliteRows], None]) -> None:
        """From now on call this within each transaction before its work, and after each look and
        step: what it raises undoes the transaction, and keeps what was seen to itself."""
        self._fence = fence

    # ---- another process, another file ------------------------------------------------------
    def before_fork(self) -> None:
        self._lock.acquire()
        if self._path is None or self._closed or self._rests:
            return
        if not self._writing.is_mine():
            self._let_go(checkpoint=True)
            self._rests = True

    def after_fork(self, child: bool) -> None:
        if child:
            self._lock = threading.RLock()
            if self._bell is not None:
                self._bell = self._bell.in_child()
            self._listens = False
            return  # it is opened by the first who needs it here
        try:
            if self._rests:
                self._renew()
        except BrokerUnavailable as error:  # whoever needs it next tries again
            log.warning("after a fork: %s", error)
        finally:
            self._lock.release()

    def _renew(self) -> None:
        """Open the file here, if this process may."""
        with self._lock:
            if self._closed:
                raise BrokerUnavailable("the broker is closed")
            if self._rests:
                with self._translated():
                    self._open()
                self._rests = False
            elif self._pid != os.getpid():
                raise BrokerUnavailable(
                    f"{self._path or 'memory://'} was opened by process {self._pid}, and this is "
                    f"a fork of it, process {os.getpid()}: open a broker here"
                )

    def is_there(self) -> bool:
        """Whether the path still means the file that is open."""
        return self._file is None or self._file.holds()

    def check(self) -> None:
        """Raise FileReplaced when the path means another file now, having opened that one."""
        if self._file is None or self._file.holds() or self._writing.is_mine():
            return
        if self._haste.on:  # opening takes a while
            raise WouldWait
        with self._lock:
            if self._closed or self._rests:
                return  # `_renew` opens it
            if self._file.holds():
                return  # another thread has opened it
            log.error("%s was deleted or replaced while it was open: opening it anew", self._path)
            self._rests = True
            self._generation += 1
            self._let_go(checkpoint=False)
            self._file.leave_wal(Path(os.path.realpath(str(self._path))))
            bell, self._bell = self._bell, None
            try:
                self._renew()
            finally:
                if bell is not None:  # last: who hears there goes on at the new one
                    bell.close()
        raise FileReplaced(
            f"{self._path} was deleted or replaced while it was open, and is open anew: what was "
            "just sent or changed may be in neither file; repeat it"
        )

    def transact(
        self,
        work: Callable[[Rows], T],
        *,
        durable: bool = False,
        committed: Callable[[T], None] | None = None,
        alone: bool = False,
    ) -> T:
        for last in (False, True):
            try:
                return self._transact(work, durable, committed)
            except FileReplaced:  # nobody was answered: into the new file with it
                if last or self._writing.is_mine():
                    raise
        raise AssertionError("unreachable")

    def within(self, work: Callable[[Sql], T]) -> T:
        """As `OwnSql.within`."""

        def call(rows: Rows) -> T:
            sql = SqliteSql(self._connection)
            try:
                return work(sql)
            finally:
                sql.close()

        return self._transact(call, True, None)

    def _transact(
        self, work: Callable[[Rows], T], durable: bool, committed: Callable[[T], None] | None
    ) -> T:
        writing = self._writing
        later: list[Callable[[], None]] = []
        with writing as rows:
            if self._fence is not None and writing.outermost:
                self._fence(writing.rows)
            answer = work(rows)
            if writing.depth > 1:  # a part of another: others see it when that is committed
                if committed is not None:
                    writing.later.append(partial(committed, answer))
                writing.owes = writing.owes or durable
                return answer
            if writing.later:
                later, writing.later = writing.later, []
        if committed is not None:
            committed(answer)
        for call in later:
            call()
        if durable and self._haste.on and self._disk is not None:
            self._haste.owes = True
        elif durable:
            self.sync()
        return answer

    def at_once(self, verb: Callable[[], T]) -> tuple[T, Callable[[], None] | None]:
        answer = self._haste.call(verb)
        owes = self._haste.owes
        return answer, partial(self._sync_change, self._committed_in.number) if owes else None

    def gathering(self, patience: float | None) -> Gathering:
        return Gathering(self._writing, self._haste, patience, self._settle_gathering)

    def _settle_gathering(self, durable: bool) -> Callable[[], None] | None:
        if durable and self._disk is not None:
            return partial(self._sync_change, self._committed_in.number)
        if durable:
            self.check()
        return None

    def _sync_change(self, generation: int) -> None:
        self._committed_in.number = generation  # as if this thread had made it
        self.sync()

    def single(
        self,
        work: Callable[[Rows], T],
        *,
        durable: bool = False,
        committed: Callable[[T], None] | None = None,
    ) -> T:
        haste = self._haste
        if not haste.on:  # one statement more or less costs nothing here
            return self.transact(work, durable=durable, committed=committed)
        haste.bare = True
        try:
            return self.transact(work, durable=durable, committed=committed)
        finally:
            haste.bare = False

    def step(self, work: Callable[[Rows], T]) -> T:
        if self._haste.on:
            return self._hasty_step(work)
        with self._reading as rows:  # one statement: SQLite commits it
            answer = work(rows)
            if not self._writing.depth:
                self._count_commit()
            if self._fence is not None and not self._writing.depth:
                self._fence(self._reading.rows)
            return answer

    def _hasty_step(self, work: Callable[[Rows], T]) -> T:
        """A transaction after all: what waits is told so, and what is gathered may be undone. If
        it changes nothing, another may follow."""

        def step(rows: Rows) -> tuple[T, bool]:
            before = self._connection.total_changes()
            return work(rows), before != self._connection.total_changes()

        answer, self._haste.changed = self.single(step)
        return answer

    def look(self, work: Callable[[Rows], T], *, kept: bool = False) -> T:
        with self._reading as rows:
            answer = work(rows)
            if self._fence is not None and not self._writing.depth:
                self._fence(self._reading.rows)
            return answer

    def version(self) -> Hashable:
        with self._reading:
            return self._connection.pragma("data_version"), self._connection.total_changes()

    def time(self, clock: Clock) -> Callable[[], float]:
        return clock.now  # one machine, one clock

    def sync(self, everybodys: bool = False) -> None:
        if self._file is None or self._writing.is_mine():  # else when that is committed
            return
        disk = self._disk
        if disk is not None:
            with self._translated():
                if everybodys:
                    with self._reading:
                        version = self._connection.data_version()
                    disk.seen(version)
                disk.wait()
        self.check()
        if getattr(self._committed_in, "number", self._generation) != self._generation:
            del self._committed_in.number
            raise FileReplaced(f"{self._path} was replaced just after the change: repeat it")

    def sync_file(self) -> None:
        """Return when everything that is committed survives a power cut, whatever was asked for."""
        if self._file is not None:
            with self._translated():
                disk = DiskSync(Path(os.path.realpath(str(self._path))))
                try:
                    disk.wait()
                finally:
                    disk.close()

    def _count_commit(self) -> None:
        self._committed_in.number = self._generation  # of this thread's last change
        if self._disk is not None:
            self._disk.committed()

    def _wal_grew(self, connection: apsw.Connection, name: str, pages: int) -> int:
        assert self._checkpointer is not None
        self._checkpointer.wal_has(pages)
        return apsw.SQLITE_OK

    def _commit_syncs(self) -> bool:
        return self._checkpointer is not None and self._checkpointer.starts_over()

    def back_up(self, to: Path) -> None:
        self.check()
        back_up(self._path, to)

    def hurry(self) -> None:
        self._patience.hurry()

    def ring(self, queues: Collection[str]) -> None:
        if self._bell is not None:
            self._bell.ring(queues)

    def listen(self) -> None:
        self._listens = True
        if self._bell is not None:
            self._bell.listen()

    def ignore(self) -> None:
        self._listens = False
        if self._bell is not None:
            self._bell.take_down()

    def hears(self) -> bool:
        return self._bell is not None and self._bell.hears()

    def hear(self, timeout: float | None) -> Collection[str] | None:
        bell = self._bell
        return () if bell is None else bell.hear(timeout)

    def wake(self) -> None:
        if (bell := self._bell) is not None:
            bell.wake()

    def close(self) -> None:
        if self._pid != os.getpid() and not self._rests:
            return  # the parent's, whose files a child leaves alone
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                if self._bell is not None:
                    self._bell.close()
            finally:
                if not self._rests:
                    self._let_go(checkpoint=self._file is None or self._file.holds())
                if self._disk is not None:
                    self._disk.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (apsw.Error, OSError) as error:
            raise translate(error, self._path) from error
