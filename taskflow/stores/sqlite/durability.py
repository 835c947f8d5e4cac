"""What makes commits survive a power cut, away from the threads that receive and acknowledge."""

import fcntl
import logging
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import apsw

log = logging.getLogger("taskflow.store")

CHECKPOINT_PAGES = 8000  # every 16 MB of WAL
RESET_PAGES = 32000  # writers never paused: stop them once, so that the WAL starts over


class DiskSync:
    """Group fsync: many commits, one wait for the disk.

    SQLite would wait inside the write lock, and every receive and acknowledgement with it. Here
    a commit only writes the WAL; whoever must not answer before it is on disk calls `wait`. The
    first caller syncs for all that have committed by then. A checkpoint in between syncs the
    WAL itself before it may start over, so what it removed is on disk too.
    """

    def __init__(self, database: Path) -> None:
        self._condition = threading.Condition()
        self._commits = 1  # what was committed before, by a connection closed for a fork
        self._synced = 0
        self._seen = -1
        self._syncing = False
        self._failed: OSError | None = None
        self._file = os.open(f"{database}-wal", os.O_RDONLY)
        self._release = weakref.finalize(self, os.close, self._file)
        folder = os.open(database.absolute().parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the names of the files, once
        finally:
            os.close(folder)

    def committed(self) -> None:
        """Count a commit; called while the store's lock is held."""
        self._commits += 1

    def seen(self, version: int) -> None:
        """Count what others have committed, if the database was seen in this version for the first
        time (SQLite's data version)."""
        with self._condition:
            if version != self._seen:
                self._seen = version
                self._commits += 1

    def wait(self) -> None:
        """Return when every commit counted so far is on disk. Raises OSError if it cannot be."""
        wanted = self._commits
        with self._condition:
            while self._synced < wanted:
                if self._syncing:
                    self._condition.wait()
                    continue
                self._syncing = True
                self._condition.release()
                reached = self._commits
                try:
                    self._check()
                    _to_disk(self._file)
                except OSError as error:
                    self._failed = error
                    raise
                finally:
                    self._condition.acquire()
                    self._syncing = False
                    self._condition.notify_all()
                self._synced = reached

    def close(self) -> None:
        """Let the file go; with the last who waits here, if anybody does."""
        with self._condition:
            if not self._syncing:
                self._release()

    def _check(self) -> None:
        """After one failure the kernel may call lost pages clean: never say "on disk" again."""
        if self._failed is not None:
            raise OSError(
                self._failed.errno,
                f"{self._failed.strerror}; what was sent may be stored but not on disk: mend the "
                "disk and start this process again (sending with the same ids is safe)",
            )


def _to_disk(file: int) -> None:
    if hasattr(fcntl, "F_FULLFSYNC"):  # macOS: fsync alone stops at the drive's cache
        fcntl.fcntl(file, fcntl.F_FULLFSYNC)
    elif hasattr(os, "fdatasync"):
        os.fdatasync(file)
    else:
        os.fsync(file)


class Checkpointer:
    """Copies the WAL into the database from a thread of its own, with its own connection."""

    def __init__(self, connect: Callable[[], apsw.Connection]) -> None:
        self._connect = connect
        self._condition = threading.Condition()
        self._pages = 0
        self._last = 0  # pages at the last checkpoint
        self._now = 0  # pages at the last commit
        self._copied = -1  # pages of a WAL that was copied as a whole
        self._closed = False
        self._thread: threading.Thread | None = None

    def wal_has(self, pages: int) -> None:
        """Told after each commit how long the WAL is."""
        self._now = pages
        if pages < self._last:  # it started over
            self._last = 0
        if pages < self._last + CHECKPOINT_PAGES:
            return
        self._last = pages
        with self._condition:
            self._pages = pages
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(
                    target=self._run, name="taskflow-checkpoint", daemon=True
                )
                self._thread.start()
            self._condition.notify()

    def starts_over(self) -> bool:
        """Whether the next commit begins the WAL anew: SQLite then waits for the disk, once."""
        return self._copied == self._now

    def _run(self) -> None:
        connection = self._connect()
        try:
            while True:
                with self._condition:
                    while not self._pages and not self._closed:
                        self._condition.wait()
                    if self._closed:
                        return
                    pages, self._pages = self._pages, 0
                self._checkpoint(connection, pages)
        finally:
            connection.close()

    def _checkpoint(self, connection: apsw.Connection, pages: int) -> None:
        try:
            all, copied = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            if pages >= RESET_PAGES:  # only what came meanwhile is copied under the write lock
                all, copied = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
            self._copied = copied if copied == all else -1
        except apsw.BusyError:
            pass  # another process is at it, or a reader holds on; the next commit asks again
        except apsw.Error as error:
            log.warning("checkpoint failed: %s", error)

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify()
            thread = self._thread
        if thread is not None:
            thread.join()
