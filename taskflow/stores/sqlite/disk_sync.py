"""One wait for the disk that many commits share, away from those who receive and acknowledge."""

import fcntl
import os
import threading
import weakref
from collections import deque
from pathlib import Path


class DiskSync:
    """Group fsync: many commits, one wait for the disk.

    SQLite would wait inside the write lock, and every receive and acknowledgement with it. Here
    a commit only writes the WAL; whoever must not answer before it is on disk calls `wait`. The
    first caller syncs for all that have committed by then. A checkpoint in between syncs the
    WAL itself before it may start over, so what it removed is on disk too.
    """

    def __init__(self, database: Path) -> None:
        # (No condition: within the functions of one Ctrl-C leaves its lock taken, or gives it up.)
        self._lock = threading.RLock()
        self._parked: deque[threading.Lock] = deque()  # of who waits for another; guarded by it
        self._commits = 1  # what was committed before, by a connection closed for a fork
        self._synced = 0
        self._seen = -1
        self._syncing: object | None = None  # who waits for the disk
        self._thread = 0  # whose that is
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
        with self._lock:
            if version != self._seen:
                self._seen = version
                self._commits += 1

    def wait(self) -> None:
        """Return when every commit counted so far is on disk. Raises OSError if it cannot be: then
        nobody knows whether it is stored."""
        wanted, me, thread = self._commits, object(), threading.get_ident()
        try:
            while self._synced < wanted:
                other = None
                with self._lock:
                    if self._syncing is None:
                        self._syncing, self._thread = me, thread
                    elif self._thread != thread:  # else a handler of signals came meanwhile
                        other = self._park()
                if other is not None:
                    other.acquire()
                    continue
                reached = self._commits
                try:
                    if self._failed is None:
                        _to_disk(self._file)
                except OSError as error:
                    self._failed = error
                self._end(me)
                self._check()
                self._synced = max(self._synced, reached)
        finally:
            if self._syncing is me:  # Ctrl-C came
                self._syncing = None  # first, and without a call: it may come once more
                self._end(me)

    def _park(self) -> threading.Lock:
        """What is let go when the turn of now is over."""
        parked = threading.Lock()
        parked.acquire()
        self._parked.append(parked)
        return parked

    def _end(self, me: object) -> None:
        with self._lock:
            if self._syncing is me:
                self._syncing = None
            while self._parked:
                self._parked.popleft().release()

    def close(self) -> None:
        """Let the file go; with the last who waits here, if anybody does."""
        with self._lock:
            if self._syncing is None:
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
