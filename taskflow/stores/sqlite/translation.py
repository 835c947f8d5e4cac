"""SQLite's errors as ours."""

from pathlib import Path

import apsw

from taskflow.errors import BrokerFileError, BrokerUnavailable


def translate(error: apsw.Error | OSError, path: Path | None) -> Exception:
    """SQLite's errors as ours, with the file and what to do."""
    match error:
        case apsw.ConnectionClosedError() | apsw.CursorClosedError():
            return BrokerUnavailable(
                "this thread closed the broker, or forked, in the midst of a call: it may be done"
            )
        case apsw.ExecTraceAbort():
            return BrokerUnavailable("this is a fork of the process that began the call")
        case apsw.BusyError() | apsw.LockedError():
            return BrokerUnavailable(
                f"{path} was locked by another process, for longer than this one could wait"
            )
        case apsw.FullError():
            return BrokerFileError(f"{path}: the disk is full; nothing was stored")
        case apsw.ReadOnlyError():
            return BrokerFileError(f"{path} is read-only; the broker must write")
        case apsw.NotADBError():
            return BrokerFileError(f"{path} is not an SQLite file")
        case apsw.CantOpenError() | apsw.PermissionsError() | apsw.AuthError():
            reason = "does not exist" if not folder_exists(path) else "cannot be opened"
            what = path.parent if reason == "does not exist" and path else path
            return BrokerFileError(f"{what} {reason}; check the path and its rights")
        case apsw.SQLError() if "no such table" in str(error):
            return BrokerFileError(
                f"{path} was changed by a newer taskflow while it was open here ({error}): nothing "
                "was done; restart this process with that version"
            )
        case apsw.IOError() | apsw.CorruptError():
            return BrokerFileError(f"{path}: {error}")
        case OSError():
            return BrokerFileError(f"{path}: {error.strerror or error}")
    return error


def folder_exists(path: Path | None) -> bool:
    return path is None or path.parent.is_dir()
