"""The audit log: an append-only table of a SQLite file, and checkpoints in a file beside it."""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from services.audit.entry import GENESIS, Entry

CHECKPOINT_EVERY = 10
"""How many entries are between two checkpoints."""

BUSY_TIMEOUT_SECONDS = 15.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    seq         INTEGER PRIMARY KEY,
    event_id    TEXT NOT NULL UNIQUE,
    topic       TEXT NOT NULL,
    source      TEXT NOT NULL,
    occurred_at TEXT NOT NULL,
    recorded_at TEXT NOT NULL,
    body        BLOB NOT NULL,
    prev_hash   BLOB NOT NULL,
    hash        BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS entries_hash ON entries (hash);
CREATE TRIGGER IF NOT EXISTS entries_no_update BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER IF NOT EXISTS entries_no_delete BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
"""

_COLUMNS = ", ".join(name for name in Entry.__dataclass_fields__)


class LogUnreadable(Exception):
    """The log or its checkpoints cannot be read."""


class EventIdReused(Exception):
    """An event id came back with another body: one of the two is not what it claims to be."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the log looked like once: the hash of its entry `seq` at `time` (RFC 3339)."""

    seq: int
    hash: bytes
    time: str


class AuditLog:
    """Appends and reads entries. Thread-safe and safe among processes.

    The triggers stop accidents, not the file's owner: against whom `verify` and the checkpoints
    are.
    """

    def __init__(self, database: Path, checkpoints: Path) -> None:
        self._database = database
        self._checkpoints = checkpoints

    def create(self) -> None:
        """Make the file and its table where they are missing. Idempotent."""
        self._database.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._connect("rwc")) as connection:
            connection.executescript(_SCHEMA)

    def append(self, entry: Entry) -> bool:
        """Add an entry behind the last one; its `seq` and hashes are set here.

        Idempotent by event id: False when the event is in the log already. Raises EventIdReused.
        """
        with closing(self._connect("rw")) as connection, _transaction(connection):
            found = connection.execute(
                "SELECT topic, body FROM entries WHERE event_id = ?", (entry.event_id,)
            ).fetchone()
            if found is not None:
                if found != (entry.topic, entry.body):
                    raise EventIdReused(f"event {entry.event_id} is in the log, but different")
                return False
            last = connection.execute(
                "SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1"
            ).fetchone()
            seq, prev_hash = last or (0, GENESIS)
            entry = replace(entry, seq=seq + 1, prev_hash=prev_hash)
            entry = replace(entry, hash=entry.compute_hash())
            values = [getattr(entry, name) for name in Entry.__dataclass_fields__]
            marks = ", ".join("?" * len(values))
            connection.execute(f"INSERT INTO entries ({_COLUMNS}) VALUES ({marks})", values)
        if entry.seq % CHECKPOINT_EVERY == 0:
            self._add_checkpoint(Checkpoint(entry.seq, entry.hash, entry.recorded_at))
        return True

    def checkpoint(self, time: str) -> Checkpoint | None:
        """Note what the log looks like now; None when it is empty. Raises LogUnreadable."""
        with self._reading() as connection:
            last = connection.execute(
                "SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1"
            ).fetchone()
        if last is None:
            return None
        checkpoint = Checkpoint(last[0], last[1], time)
        self._add_checkpoint(checkpoint)
        return checkpoint

    def checkpoints(self) -> list[Checkpoint]:
        """All checkpoints, oldest first. Raises LogUnreadable."""
        try:
            lines = self._checkpoints.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise LogUnreadable(f"{self._checkpoints}: {error}") from error
        found = []
        for number, line in enumerate(lines, start=1):
            try:
                fields = json.loads(line)
                checkpoint = Checkpoint(
                    int(fields["seq"]), bytes.fromhex(fields["hash"]), fields["time"]
                )
            except (ValueError, KeyError, TypeError) as error:
                raise LogUnreadable(
                    f"{self._checkpoints}: line {number} is not a checkpoint"
                ) from error
            found.append(checkpoint)
        return found

    def entries(self, last: int | None = None) -> Iterator[Entry]:
        """Entries in the order of their numbers: all, or the `last` few. Raises LogUnreadable."""
        query = f"SELECT {_COLUMNS} FROM entries ORDER BY seq"
        limit: tuple[int, ...] = ()
        if last is not None:
            query = f"SELECT * FROM ({query} DESC LIMIT ?) ORDER BY seq"
            limit = (last,)
        with self._reading() as connection:
            for row in connection.execute(query, limit):
                yield Entry(*row)

    def holds_hash(self, value: bytes) -> bool:
        """Whether some entry has that hash. Raises LogUnreadable."""
        with self._reading() as connection:
            found = connection.execute("SELECT 1 FROM entries WHERE hash = ?", (value,))
            return found.fetchone() is not None

    def _add_checkpoint(self, checkpoint: Checkpoint) -> None:
        line = {"seq": checkpoint.seq, "hash": checkpoint.hash.hex(), "time": checkpoint.time}
        self._checkpoints.parent.mkdir(parents=True, exist_ok=True)
        # One write to a file opened for appending: lines of two processes do not mix.
        with open(self._checkpoints, "ab", buffering=0) as file:
            file.write(json.dumps(line).encode() + b"\n")
            os.fsync(file.fileno())

    def _connect(self, mode: str) -> sqlite3.Connection:
        return sqlite3.connect(
            f"{self._database.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_TIMEOUT_SECONDS,
            isolation_level=None,
        )

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(self._connect("ro")) as connection:
                yield connection
        except sqlite3.Error as error:
            raise LogUnreadable(f"{self._database}: {error}") from error


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    # IMMEDIATE: whoever reads the last hash must be the next to write.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
