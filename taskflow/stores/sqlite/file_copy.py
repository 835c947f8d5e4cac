"""Copying a broker's file while it is in use."""

import os
from contextlib import suppress
from pathlib import Path

import apsw

from taskflow.errors import BrokerFileError, ConfigError

PAGES = 2000  # of one step: 4 MB


def back_up(path: Path | None, to: Path) -> None:
    """As `broker.backup.Backup`, of this file."""
    if path is None:
        raise ConfigError("a broker in memory lies in no file: there is nothing to back up")
    if to.exists():
        raise BrokerFileError(f"{to} exists; a backup is a new file")
    try:
        copy_file(path, to)
    except (apsw.Error, OSError) as error:
        raise BrokerFileError(f"{path} cannot be copied to {to}: {error}") from error


def copy_file(path: Path, copy: Path) -> None:
    """Copy what is committed at one moment, in the WAL or not; all of it, on disk, or nothing. A
    `copy` that is there is replaced. Raises apsw's errors and OSError."""
    part = copy.with_name(f"{copy.name}.part")
    part.unlink(missing_ok=True)
    try:
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        source, target = apsw.Connection(os.fspath(path)), apsw.Connection(os.fspath(part))
        try:
            # While it reads, this connection sees one moment: a copy that saw others write would
            # begin anew, and under load never end.
            source.execute("BEGIN; SELECT count(*) FROM sqlite_schema")
            with target.backup("main", source, "main") as backup:
                while not backup.done:
                    backup.step(PAGES)
        finally:
            target.close()
            source.close()
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
