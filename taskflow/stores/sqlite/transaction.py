"""What a block does that changes rows."""

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

import apsw

from taskflow import forking
from taskflow.broker.prompt import WouldWait
from taskflow.errors import BrokerUnavailable
from taskflow.stores.rows import Rows
from taskflow.stores.sqlite.haste import Haste
from taskflow.stores.sqlite.read_block import Reading


class Writing(Reading):
    """`with` it for one transaction: committed at the end of the block, undone by an error.

    A block within a block of the same thread is part of the outer one; its own error undoes what
    it did itself.
    """

    def __init__(
        self,
        path: Path | None,
        haste: Haste,
        renew: Callable[[], None],
        committed: Callable[[], None],
        syncs: Callable[[], bool],
    ) -> None:
        super().__init__(path, haste, renew)
        self._committed = committed
        self._syncs = syncs  # whether the next commit waits for the disk by itself
        self.depth = 0  # of blocks; guarded by the lock
        self.owes = False  # whether a part wants it on disk; guarded by the lock
        self.touched = False
        """Whether there was a block since somebody said that there was none."""
        self._gathers = False
        self._begins: Callable[[], None] | None = None
        self._bare = False  # whether the second block has no savepoint
        self.later: list[Callable[[], None]] = []
        """What to call when the outermost block is committed; guarded by the lock."""
        self._owner = 0  # the thread that is in them
        self._owner_pid = 0
        self._begun = False  # whether SQLite is told to begin, and `depth` does not say so yet

    def leave(self) -> None:
        super().leave()
        self.depth = self._owner = 0  # what was left behind goes with the connection

    def __enter__(self) -> Rows:
        inside = self.holds()
        self._acquire()
        if not inside:
            self.clear()
        elif self._begun and not self._idle():
            self._have_begun()  # a handler of signals: what it does is a part of that
        before = self.depth
        try:
            if self._haste.on and self.depth <= self._gathers:  # what a call begins by itself
                if self._haste.patience is None and (self._haste.changed or self._syncs()):
                    raise WouldWait
                self._haste.changed = True
            if self._gathers and not self.depth:
                if self._begins is not None:
                    self._begins()
                self._begin()
            self.touched = True
            if self.depth:
                if self._haste.bare and self._gathers and self.depth == 1:
                    self._bare = True
                else:
                    self._execute("SAVEPOINT inner")
                self.depth += 1
            else:
                self._begin()
        except BaseException as error:
            if not (before or self._gathers):
                self._unbegin()
            super().__exit__(None, error, None)
            raise
        return self.rows

    def _begin(self) -> None:
        if self.depth:  # a handler of signals came before, and has begun what is gathered
            return
        self.owes, self._begun = False, True
        try:
            self._execute("BEGIN IMMEDIATE")
            self._have_begun()
        except BaseException:
            self._unbegin()
            raise

    def _have_begun(self) -> None:
        """SQLite has, and this thread is in it."""
        self._owner = threading.get_ident()  # before the depth: `is_mine` asks without the lock
        self._owner_pid = self._pid
        self.depth = 1
        self._begun = False
        self.rows.begun()  # of which a fork is to know that this is somebody's

    def _unbegin(self) -> None:
        """It has not begun; if it had, and an error came then (Ctrl-C, a disk that cannot be read),
        it is undone."""
        self.depth = self._owner = 0
        self._begun = False
        with contextlib.suppress(apsw.Error):
            if not self._idle():
                self._undo()

    def is_clear(self) -> bool:
        """Whether nobody is in a block, and nothing is left of one. The lock is held."""
        return not self.depth and not self._state()

    def clear(self) -> None:
        """Undo what is left of a block whose end was interrupted twice, and of a statement. This
        thread has just got the lock, which it did not have."""
        self._begun = False
        if self.is_clear() or (self.depth and self._owner_pid != forking.pid):  # as in `__exit__`
            return
        self.depth = self._owner = 0
        self._undo()
        self._kept.reset()

    @property
    def outermost(self) -> bool:
        """Whether this block is in no other: a call of its own, alone or among others that are
        gathered."""
        return self.depth == 1 + self._gathers

    def gather(self, begins: Callable[[], None] | None = None) -> None:
        """The blocks of this thread until `end_gathering` are parts of one transaction, which the
        first of them begins, after a call of `begins`."""
        inside = self.holds()
        assert not (inside and self.depth)
        self._acquire()
        if not inside:
            self.clear()
        self._gathers, self._begins = True, begins

    def end_part(self, error: BaseException | None) -> bool:
        """As `end_gathering`, but what follows is gathered, too: in another transaction."""
        if not self.depth:
            return False
        self.lock.acquire()  # it stays this thread's
        begins = self._begins
        try:
            return self.end_gathering(error)
        finally:
            self._gathers, self._begins = True, begins

    def end_gathering(self, error: BaseException | None) -> bool:
        """Commit it, or undo it when there was an error; whether it had begun."""
        self._gathers, self._begins = False, None
        if self.depth:
            self.__exit__(None if error is None else type(error), error, None)
            return True
        if error is not None:
            self._unbegin()
        super().__exit__(None, None, None)
        return False

    def abandon_gathering(self, error: BaseException) -> None:
        """Whatever came while it began or ended: nothing of it stays."""
        self._gathers, self._begins = False, None
        if self.holds() and not self.depth:
            self._unbegin()
        self.let_go(error)

    def broken(self) -> bool:
        """Whether SQLite has ended by itself what is going on here."""
        return self.depth > 0 and self._idle()

    def is_mine(self) -> bool:
        """Whether this thread is inside such a block, and not one that it has only left behind."""
        me = threading.get_ident()
        return self.depth > 0 and self._owner == me and self.lock._is_owned()  # type: ignore[attr-defined]

    def let_go(self, error: BaseException) -> None:
        while self.holds():
            if self.is_mine():
                self.__exit__(type(error), error, None)
            else:
                self.lock.release()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._owner_pid != forking.pid:  # forked within the block: it is the parent's to end
            self.depth = 0
            raise BrokerUnavailable("this is a fork of the process that began the change")
        self.depth -= 1
        if not self.depth:
            self._owner = 0
        elif self._bare and self.depth == 1:
            self._bare = False
            if error is not None:
                self.rows.undone()
            super().__exit__(kind, error, trace)
            return
        if error is None:
            try:
                self._execute("RELEASE inner" if self.depth else "COMMIT")
                if not self.depth:
                    self._committed()
            except BaseException as failure:
                error = failure
                self._undo()
                super().__exit__(None, failure, None)
                raise
            self.lock.release()
            return
        self._undo()
        super().__exit__(kind, error, trace)

    def _undo(self) -> None:
        self.rows.undone()
        with contextlib.suppress(apsw.Error):  # SQLite may have undone it by itself
            if self.depth:
                self._execute("ROLLBACK TO inner")
                self._execute("RELEASE inner")
            else:
                self.later.clear()
                self._execute("ROLLBACK")
