"""Copying a broker's file while it is in use."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import apsw

from taskflow.errors import BrokerFileError, ConfigError

PAGES = 2000  # of one step: 4 MB


class Snapshot:
    """What is committed in a file at the moment in which this is made, in the WAL or not. Others
    write on. Raises apsw's errors."""

    def __init__(self, path: Path) -> None:
        self._connection = apsw.Connection(os.fspath(path))
        # The WAL is theirs who have the file open; another may have its name when this is closed.
        self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        try:
            # While it reads, this connection sees one moment: a copy that saw others write would
            # begin anew, and under load never end.
            self._connection.execute("BEGIN; SELECT count(*) FROM sqlite_schema")
        except BaseException:
            self._connection.close()
            raise

    def write(self, copy: Path) -> None:
        """All of it, on disk, or nothing. A `copy` that is there is replaced. Raises apsw's errors
        and OSError."""
        part = copy.with_name(f"{copy.name}.part")
        part.unlink(missing_ok=True)
        try:
            os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
            target = apsw.Connection(os.fspath(part))
            try:
                with target.backup("main", self._connection, "main") as backup:
                    while not backup.done:
                        backup.step(PAGES)
            finally:
                target.close()
            part.replace(copy)
            folder = os.open(copy.absolute().parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise

    def close(self) -> None:
        self._connection.close()


def back_up(path: Path | None, to: Path) -> None:
    """As `broker.backup.Backup`, of this file."""
    if path is None:
        raise ConfigError("a broker in memory lies in no file: there is nothing to back up")
    back_up_all([path], [to], lambda take: take())


def back_up_all(
    paths: Sequence[Path], to: Sequence[Path], at_once: Callable[[Callable[[], None]], None]
) -> None:
    """Copy files of one moment: `at_once` runs what takes the snapshots, perhaps again, while
    nobody writes. The first copy is there last, when all are. Raises BrokerFileError."""
    for copy in to:
        if copy.exists():
            raise BrokerFileError(f"{copy} exists; a backup is a new file")
    snapshots: list[Snapshot] = []

    def take() -> None:
        while snapshots:
            snapshots.pop().close()
        snapshots.extend(Snapshot(one) for one in paths)

    path, copy = paths[0], to[0]
    try:
        at_once(take)
        for at in reversed(range(len(paths))):
            path, copy = paths[at], to[at]
            snapshots[at].write(copy)
    except (apsw.Error, OSError) as error:
        raise BrokerFileError(f"{path} cannot be copied to {copy}: {error}") from error
    finally:
        for one in snapshots:
            one.close()


def copy_file(path: Path, copy: Path) -> None:
    """Copy what is committed at one moment; as `Snapshot.write`."""
    snapshot = Snapshot(path)
    try:
        snapshot.write(copy)
    finally:
        snapshot.close()
