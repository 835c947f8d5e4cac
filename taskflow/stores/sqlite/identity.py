"""Which file a broker's name means now: it may be deleted or replaced while we have it open."""

import os
from pathlib import Path

from taskflow.clock import Clock, SystemClock

Numbers = tuple[int, int]
TICK = 50_000_000  # nanoseconds, longer than between two times that a file system tells apart
SECOND = 1_000_000_000  # nanoseconds
_NOTHING: tuple[int, int, int, object] = (-1, -1, -1, None)


def file_of(real: Path) -> Numbers | None:
    """Which file has this name; None when none has."""
    try:
        found = real.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


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
        self._seen = _NOTHING  # of the folder, and its sight
        self._clock = clock or SystemClock()
        self._opened = self._look()

    def _look(self) -> tuple[Numbers, Numbers] | None:
        try:
            # Path.stat costs half as much again, and this is once for each publish.
            database, wal = os.stat(self._named), os.stat(self._wal)  # noqa: PTH116
        except OSError:
            return None
        return (database.st_dev, database.st_ino), (wal.st_dev, wal.st_ino)

    def is_of(self, database: Numbers | None) -> bool:
        """Whether that file had the name when this was made."""
        return self._opened is not None and self._opened[0] == database

    def leave_wal(self, real: Path) -> None:
        """When it is closed, before anybody opens the new file: take away the WAL that belongs to
        the old one, if it still lies beside it. SQLite would play it into a database that it was
        not written for. (Behind a link the new file may have another name, and a WAL of its own.)
        """
        if self._wal != f"{real}-wal":
            return
        now = self._look()
        if now is None or self._opened is None or now[0] == self._opened[0]:
            return
        if now[1] == self._opened[1]:
            for end in ("-wal", "-shm"):
                Path(f"{real}{end}").unlink(missing_ok=True)

    def holds(self) -> bool:
        """Whether the names still mean what was opened."""
        return self.look() is not None

    def look(self) -> object | None:
        """None when the names mean something else than was opened. Else a sight of the folder: as
        long as the same object is answered, it has no more and no fewer entries than it had."""
        if self._folder is None:
            return self._fresh()
        try:
            found = os.stat(self._folder)  # noqa: PTH116
        except OSError:
            return self._fresh()
        device, file, changed, sight = self._seen
        time = found.st_mtime_ns
        if time == changed and found[1] == file and found[2] == device:
            return sight
        # A folder that changes again within the same tick shows the same time: it is sure when that
        # is over. (On old file systems it lasts a second, or two.)
        over = self._clock.now() * 1e9 - time > TICK and time % SECOND
        sight = self._fresh()
        self._seen = (found[2], found[1], time, sight) if over and sight else _NOTHING
        return sight

    def _fresh(self) -> object | None:
        return object() if self._look() == self._opened else None
