"""Which file a broker's name means now: it may be deleted or replaced while we have it open."""

import os
from pathlib import Path

from taskflow.clock import Clock, SystemClock

Numbers = tuple[int, int]
TICK = 50_000_000  # nanoseconds, longer than between two times that a file system tells apart
SECOND = 1_000_000_000  # nanoseconds


class FileIdentity:
    """The database and its WAL, as they were when they were opened.

    SQLite goes on writing into a file that has no name any more, or into a WAL that another SQLite
    in this process has removed; nobody else will ever see that. While the folder has changed no
    entry since they were seen, one look at that is enough.
    """

    def __init__(self, named: Path, real: Path, clock: Clock | None = None) -> None:
        """`clock` is that of the file system, whatever the broker's may be."""
        self._named = os.fspath(named)
        self._wal = f"{real}-wal"
        # Behind a link the names lie in several folders.
        self._folder = os.fspath(real.parent) if named.absolute() == real else None
        self._seen: tuple[int, int, int] | None = None
        self._clock = clock or SystemClock()
        self._opened = self._look()

    def _look(self) -> tuple[Numbers, Numbers] | None:
        try:
            # Path.stat costs half as much again, and this is once for each publish.
            database, wal = os.stat(self._named), os.stat(self._wal)  # noqa: PTH116
        except OSError:
            return None
        return (database.st_dev, database.st_ino), (wal.st_dev, wal.st_ino)

    def leave_wal(self, real: Path) -> None:
        """Before the new file is opened: take away the WAL that belongs to the old one, if it still
        lies beside it. SQLite would play it into a database that it was not written for."""
        now = self._look()
        if now is None or self._opened is None or now[0] == self._opened[0]:
            return
        if now[1] == self._opened[1]:
            for end in ("-wal", "-shm"):
                Path(f"{real}{end}").unlink(missing_ok=True)

    def holds(self) -> bool:
        """Whether the names still mean what was opened."""
        if self._folder is None:
            return self._look() == self._opened
        try:
            found = os.stat(self._folder)  # noqa: PTH116
        except OSError:
            return self._look() == self._opened
        seen = found.st_dev, found.st_ino, found.st_mtime_ns
        if seen == self._seen:
            return True
        # A folder that changes again within the same tick shows the same time: it is sure when that
        # is over. (On old file systems it lasts a second, or two.)
        over = self._clock.now() * 1e9 - found.st_mtime_ns > TICK and found.st_mtime_ns % SECOND
        holds = self._look() == self._opened
        self._seen = seen if over and holds else None
        return holds
