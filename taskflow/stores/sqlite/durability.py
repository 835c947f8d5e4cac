"""How far the commits of this process are safe: on disk or not, in a file that is there or gone."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import apsw

from taskflow.errors import FileReplaced
from taskflow.stores.sqlite.checkpointer import Checkpointer
from taskflow.stores.sqlite.connecting import connect
from taskflow.stores.sqlite.disk_sync import DiskSync
from taskflow.stores.sqlite.translation import translate
from taskflow.uninterrupted import uninterrupted


class Durability:
    """Of one store, over all files that its path comes to mean. `path` is None for `:memory:`,
    where commits are counted and nothing is waited for; `durable`: whether `wait` waits.

    A commit only writes the WAL. The database opens and leaves what belongs to its connection.
    """

    def __init__(self, path: Path | None, *, durable: bool) -> None:
        self._path = path
        self.durable = durable and path is not None
        self.disk: DiskSync | None = None
        """Of the file that is open, where its commits are waited for."""
        self.checkpointer: Checkpointer | None = None
        """Of the file that is open."""
        self.generation = 0
        """Of the file: one more each time it was found to be another."""
        self._committed_in = threading.local()

    def open(self, connection: apsw.Connection, real: Path) -> None:
        """Commits go into this file from now on. Raises OSError."""
        self.checkpointer = Checkpointer(lambda: connect(real, checkpoints=False))
        connection.set_wal_hook(self.checkpointer.wal_has)
        self.disk = DiskSync(real) if self.durable else None

    def leave(self) -> None:
        """The connection is about to be closed."""
        if self.checkpointer is not None:
            self.checkpointer.close()

    def begin_in_child(self) -> None:
        """This is a fork: what the parent's threads wait for, and with which locks, is theirs. What
        is committed here is in what is opened here."""
        self.disk = None

    def begin_another_file(self) -> None:
        """What was committed so far is in a file that is gone."""
        self.generation += 1

    def close(self) -> None:
        """Let the file go, for good."""
        if self.disk is not None:
            self.disk.close()

    def next_commit_syncs(self) -> bool:
        """Whether SQLite itself waits for the disk in the next commit."""
        return self.checkpointer is not None and self.checkpointer.starts_over()

    def count_commit(self) -> None:
        """This thread has committed; called while the store's lock is held."""
        self._committed_in.number = self.generation  # of this thread's last change
        if self.disk is not None:
            self.disk.committed()

    def last_commit(self) -> int:
        """Which of the files, by number, this thread's last change is in."""
        number: int = self._committed_in.number
        return number

    def adopt_commit(self, number: int) -> None:
        """As if this thread had made the change that is in that file."""
        self._committed_in.number = number

    @uninterrupted
    def wait(self, version: Callable[[], int] | None = None) -> None:
        """Return when what was committed survives a power cut, if that was asked for. `version`
        tells the database's, where what others committed is waited for, too. Raises
        BrokerFileError."""
        if not self.durable:
            return
        try:
            seen = None if version is None else version()  # in a fork it opens the file first
            disk = self.disk
            if disk is None:  # of a fork, which has committed nothing
                return
            if seen is not None:
                disk.seen(seen)
            disk.wait()
        except (apsw.Error, OSError) as error:
            raise translate(error, self._path) from error

    def check_commit(self) -> None:
        """Raise FileReplaced when this thread's last change is in a file that is gone."""
        if getattr(self._committed_in, "number", self.generation) != self.generation:
            del self._committed_in.number
            raise FileReplaced(f"{self._path} was replaced just after the change: repeat it")

    def sync_file(self) -> None:
        """As the store's. The lock is held: the file is open."""
        if self._path is None:
            return
        try:
            disk = DiskSync(Path(os.path.realpath(self._path)))
            try:
                disk.wait()
            finally:
                disk.close()
        except OSError as error:
            raise translate(error, self._path) from error
