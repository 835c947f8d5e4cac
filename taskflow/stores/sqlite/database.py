"""A broker's file and this process's connection to it: opened, closed, and opened anew."""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw

from taskflow import forking
from taskflow.broker.prompt import WouldWait
from taskflow.errors import BrokerFileError, BrokerUnavailable, FileReplaced
from taskflow.stores.rows import Rows
from taskflow.stores.sqlite.checkpointer import Checkpointer
from taskflow.stores.sqlite.connecting import check_sqlite_version, connect, make_private
from taskflow.stores.sqlite.durability import Durability
from taskflow.stores.sqlite.haste import Haste
from taskflow.stores.sqlite.identity import FileIdentity, file_of
from taskflow.stores.sqlite.kept_cursors import KeptCursors
from taskflow.stores.sqlite.migration import prepare
from taskflow.stores.sqlite.notifier import Notifier
from taskflow.stores.sqlite.patience import Patience
from taskflow.stores.sqlite.read_block import Reading
from taskflow.stores.sqlite.rows import SqliteRows
from taskflow.stores.sqlite.standing import stands_in
from taskflow.stores.sqlite.transaction import Writing
from taskflow.stores.sqlite.translation import folder_exists, translate
from taskflow.uninterrupted import uninterrupted

log = logging.getLogger("taskflow.store")

_METHODS = (Writing.__enter__, Writing.__exit__, Patience.__call__, Checkpointer.wal_has)
_KEEPING = frozenset(method.__code__ for method in _METHODS)


class Database(forking.Forkable):
    """One connection, which belongs to a process and to a file: it is closed before a fork and
    opened anew on both sides, by the first who needs it; when the path means another file than it
    did, the next `check` opens that one.

    `path`, `create` and `accept` are the store's. `durability` and `notifier` are told of each file
    that is opened or left. Raises BrokerFileError when the file cannot be used.
    """

    def __init__(
        self,
        path: Path | None,
        durability: Durability,
        notifier: Notifier,
        *,
        create: bool,
        accept: Callable[[Rows], None] | None,
    ) -> None:
        check_sqlite_version(apsw.sqlite_lib_version())
        self.path = path
        self._durability = durability
        self._notifier = notifier
        self._create = create
        self._accept = accept
        self._lock = threading.RLock()
        self._closed = False
        self._pid = os.getpid()
        self._rests = False  # before a fork
        self.file: FileIdentity | None = None
        """Which one is open; None in memory."""
        self.connection: apsw.Connection
        """The one of now; within a block of `reading` or `writing` it stays the same."""
        haste = self.haste = Haste()
        self._patience = Patience(haste)
        self.hurry = self._patience.hurry
        self.reading = Reading(path, haste, self._renew)
        self.writing = Writing(
            path, haste, self._renew, durability.count_commit, durability.next_commit_syncs
        )
        with forking.quiet(), self._translated():
            self._open()
            forking.tell(self)

    def _open(self) -> None:
        """Open the file that the path means now. Raises apsw's errors, BrokerFileError."""
        while not self._opened():
            pass

    def _opened(self) -> bool:
        """Whether what was opened is one file. Else another got its name meanwhile, and its WAL is
        that one's, which SQLite would read as if it were of this."""
        path = self.path
        if path is not None and not self._create and folder_exists(path) and not path.exists():
            raise BrokerFileError(f"{path} does not exist; the first worker or publish makes it")
        real = None if path is None else Path(os.path.realpath(path))
        if real is not None and self._create:
            make_private(real)
        named = None if real is None else file_of(real)
        connection = connect(real, create=self._create)
        connection.set_busy_handler(self._patience)
        try:
            prepare(connection, real)
            if real is not None:
                connection.pragma("journal_mode", "wal")
                connection.pragma("user_version")  # a first look makes the WAL
            kept = KeptCursors(connection)
            with kept:
                rows = SqliteRows(connection)
            file = None if path is None or real is None else FileIdentity(path, real)
            if file is not None and not file.is_of(named):
                connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                connection.close()
                return False
            if self._accept is not None:
                self._accept(rows)
        except BaseException:
            if not self._create:  # by now another file may have the name, and the WAL be that one's
                connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.close()
            raise
        self.connection = connection
        self.file = file
        if real is not None:
            self._notifier.open(real)
            self._durability.open(connection, real)
        self._pid = os.getpid()
        for block in (self.reading, self.writing):
            block.use(self._pid, self._lock, rows, connection, kept)
        return True

    def _let_go(self, *, checkpoint: bool) -> None:
        """Close what `_open` opened; without a checkpoint when the file is another's by now."""
        for block in (self.reading, self.writing):
            block.leave()
        self._durability.leave()
        if not checkpoint:
            self.connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self.connection.close()

    def _leave_file(self, *, checkpoint: bool) -> None:
        """As `_let_go`, whatever the path means by now: a change of a file that is not there any
        more is told of, and its WAL goes with it."""
        if self.file is None or self.file.holds():
            self._let_go(checkpoint=checkpoint)
            return
        self._durability.begin_another_file()
        self._let_go(checkpoint=False)
        self.file.leave_wal(Path(os.path.realpath(str(self.path))))

    def never_create(self) -> None:
        """From now on a file that is missing is an error, and is not made anew."""
        self._create = False

    # ---- another process, another file ------------------------------------------------------
    def is_kept(self) -> bool:
        """Within a transaction, and where it begins or ends; and where SQLite has called, which
        lets nobody close what it is at work with."""
        writing = self.writing
        if writing.is_mine():
            return True
        called = (writing, self._patience, self._durability.checkpointer)
        return writing.holds() and stands_in(_KEEPING, called)

    @uninterrupted
    def before_fork(self, patience: float) -> bool:
        if not self._lock.acquire(timeout=patience):
            return False
        if self.path is not None and not self._closed and not self._rests:
            self._rests = True
            try:
                self._leave_file(checkpoint=False)  # it is opened anew
            except (apsw.Error, OSError) as error:  # else others would not be told
                log.warning("before a fork: %s", error)
        return True

    @uninterrupted
    def after_fork(self, child: bool) -> None:
        if child:
            self._lock = threading.RLock()
            self._notifier.begin_in_child()
            self._durability.begin_in_child()
            self._patience.begin_in_child()
            if not (self._rests or self._closed):
                self._refuse()
            return  # it is opened by the first who needs it here
        try:
            if self._rests:
                self._renew()
        except BrokerUnavailable as error:  # whoever needs it next tries again
            log.warning("after a fork: %s", error)
        finally:
            self._lock.release()

    def _refuse(self) -> None:
        """The connection is the parent's, and was open at the fork: whoever was in the midst of
        something goes no further with it here."""
        with suppress(apsw.Error):  # another thread of the parent was at it, and none is here
            self.connection.exec_trace = lambda *_: False

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
                    f"{self.path or 'memory://'} was opened by process {self._pid}, and this is "
                    f"a fork of it, process {os.getpid()}: open a broker here"
                )

    def is_there(self) -> bool:
        """Whether the path still means the file that is open."""
        return self.file is None or self.file.holds()

    @uninterrupted
    def check(self) -> None:
        """Raise FileReplaced when the path means another file now, having opened that one."""
        if self.file is None or self.file.holds() or self.writing.is_mine():
            return
        if self.haste.on:  # opening takes a while
            raise WouldWait
        with self._lock:
            if self._closed or self._rests:
                return  # `_renew` opens it
            if self.file.holds():
                return  # another thread has opened it
            log.error("%s was deleted or replaced while it was open: opening it anew", self.path)
            self._rests = True
            self._leave_file(checkpoint=False)
            bell = self._notifier.leave()
            try:
                self._renew()
            finally:
                if bell is not None:  # last: who hears there goes on at the new one
                    bell.close()
        raise FileReplaced(
            f"{self.path} was deleted or replaced while it was open, and is open anew: what was "
            "just sent or changed may be in neither file; repeat it"
        )

    @uninterrupted
    def close(self, *, checkpoint: bool = True) -> None:
        """Close it for good, doorbell and disk with it. `checkpoint`: the last one copies the WAL
        into the file and removes it, by its name: while this is done nobody may remove the file and
        make another of that name. Without, the WAL stays, and whoever opens the file next has what
        is in it."""
        if self._pid != os.getpid() and not self._rests:
            return  # the parent's, whose files a child leaves alone
        with self._lock:
            if self._closed:
                return
            self._closed = True
            try:
                self._notifier.close()
            finally:
                if not self._rests:
                    self._leave_file(checkpoint=checkpoint)
                self._durability.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (apsw.Error, OSError) as error:
            raise translate(error, self.path) from error
