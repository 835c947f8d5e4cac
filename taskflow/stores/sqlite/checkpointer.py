"""What keeps a broker's WAL short, away from the threads that write it."""

import logging
import threading
from collections.abc import Callable

import apsw

log = logging.getLogger("taskflow.store")

CHECKPOINT_PAGES = 8000  # every 16 MB of WAL
RESET_PAGES = 32000  # writers never paused: stop them once, so that the WAL starts over


class Checkpointer:
    """Copies the WAL into the database from a thread of its own, with its own connection."""

    def __init__(self, connect: Callable[[], apsw.Connection]) -> None:
        self._connect = connect
        self._lock = threading.RLock()  # taken by itself: a condition's own functions, when Ctrl-C
        self._condition = threading.Condition(self._lock)  # comes within them, leave it taken
        self._pages = 0
        self._last = 0  # pages at the last checkpoint
        self._now = 0  # pages at the last commit
        self._copied = -1  # pages of a WAL that was copied as a whole
        self._closed = False
        self._thread: threading.Thread | None = None

    def wal_has(self, connection: apsw.Connection, name: str, pages: int) -> int:
        """SQLite's hook, which tells after each commit how long the WAL is."""
        self._now = pages
        if pages < self._last:  # it started over
            self._last = 0
        if pages >= self._last + CHECKPOINT_PAGES:
            self._ask(pages)
        return apsw.SQLITE_OK

    def _ask(self, pages: int) -> None:
        self._last = pages
        with self._lock:
            self._pages = pages
            if self._thread is None and not self._closed:
                thread = threading.Thread(target=self._run, name="taskflow-checkpoint", daemon=True)
                thread.start()
                self._thread = thread  # last: one that Ctrl-C kept from starting is none
            self._condition.notify()

    def starts_over(self) -> bool:
        """Whether the next commit begins the WAL anew: SQLite then waits for the disk, once."""
        return self._copied == self._now

    def _run(self) -> None:
        connection = self._connect()
        try:
            while True:
                with self._lock:
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
        with self._lock:
            self._closed = True
            self._condition.notify()
            thread = self._thread
        if thread is not None:
            thread.join()
