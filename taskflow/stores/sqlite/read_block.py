"""What a block does that looks at rows."""

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import apsw

from taskflow import forking
from taskflow.broker.prompt import WouldWait
from taskflow.stores.rows import Rows
from taskflow.stores.sqlite.haste import Haste
from taskflow.stores.sqlite.kept_cursors import KeptCursors
from taskflow.stores.sqlite.rows import SqliteRows
from taskflow.stores.sqlite.translation import translate

Execute = Callable[[str], Any]
T = TypeVar("T")


class Reading:
    """`with` it to look at rows: the process's connection is yours until the end of the block.

    Written out, as is `Writing`: a generator would cost each message some microseconds. `renew` is
    called when another process stands here than the one that was told what to `use`. A thread in
    `haste` gets WouldWait where others wait.
    """

    def __init__(self, path: Path | None, haste: Haste, renew: Callable[[], None]) -> None:
        self._path = path
        self._haste = haste
        self._renew = renew
        self._pid = 0
        self.lock: threading.RLock
        """Of the connection."""
        self.free: Callable[[], object]
        """Release the lock as often as this thread has it, which may be never, by one call of C;
        RuntimeError comes at the end always. (`_release_save` of a lock releases another thread's,
        too.)"""
        self.rows: SqliteRows
        """Within a block: the rows, with what only SQLite has."""
        self._execute: Execute
        self._idle: Callable[[], bool]
        """Whether SQLite is in no transaction."""
        self._state: Callable[[], int]
        """Nothing when no statement is open either."""
        self._kept: KeptCursors

    def use(
        self,
        pid: int,
        lock: threading.RLock,
        rows: SqliteRows,
        connection: apsw.Connection,
        kept: KeptCursors,
    ) -> None:
        """Work on this connection from now on, in this process. The lock is held."""
        self.lock, self.rows, self._execute = lock, rows, connection.cursor().execute
        self._idle, self._state = connection.get_autocommit, connection.txn_state
        self._kept = kept
        self.free = partial(deque, iter(lock.release, 0), 0)
        self._pid = pid

    def leave(self) -> None:
        """The connection is gone: `renew` before the next block."""
        self._pid = 0

    def is_open(self) -> bool:
        """Whether a block would begin at once, but for others who are in one."""
        return forking.pid == self._pid

    def holds(self) -> bool:
        """Whether this thread has the lock."""
        return forking.pid == self._pid and self.lock._is_owned()  # type: ignore[attr-defined]

    def let_go(self, error: BaseException) -> None:
        """Nothing of this thread's stays, which had nothing before: Ctrl-C may come between a block
        and its end, or when the lock is taken and the block has not begun. It may come once more in
        here: so whoever calls this releases the lock in a `finally`, whose first call is one of C
        (nothing comes before that), and whoever has it next undoes what is left."""
        while self.holds():
            self.lock.release()

    def run(self, work: Callable[[], T]) -> T:
        """`work` in a block, at whose end nothing of it stays, whenever Ctrl-C came."""
        inside = self.holds()
        try:
            with self:
                return work()
        except BaseException as error:
            if not inside:
                try:
                    self.let_go(error)
                finally:
                    try:
                        self.free()
                    except RuntimeError:
                        pass
            raise

    def __enter__(self) -> Rows:
        if self._haste.on or forking.pid != self._pid:
            self._acquire()
        else:
            self.lock.acquire()
        return self.rows

    def _acquire(self) -> None:
        if self._haste.on:
            patience = self._haste.patience
            if forking.pid != self._pid or not (
                self.lock.acquire(blocking=False)
                if patience is None
                else self.lock.acquire(timeout=patience)
            ):
                raise WouldWait
            return
        if forking.pid != self._pid:
            self._renew()
        self.lock.acquire()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.lock.release()
        if error is None:
            return
        if isinstance(error, apsw.BusyError) and self._haste.on:
            raise WouldWait from error
        if isinstance(error, apsw.Error | OSError):
            raise translate(error, self._path) from error
