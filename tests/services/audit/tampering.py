"""What tests do to an audit log: fill it, and change it behind its back."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from services.audit.handlers import Recorder
from services.audit.repository import AuditLog
from taskflow import Event


def event(number: int, **payload: Any) -> Event[Any]:
    return Event(
        topic="order.created",
        payload={"order_id": f"ord_{number}"} | payload,
        id=f"evt_{number}",
        time=1_795_000_000.0,
    )


def fill(recorder: Recorder, count: int) -> None:
    for number in range(1, count + 1):
        recorder.record(event(number))


def tamper(database: Path, *statements: str) -> None:
    """What the file's owner can do: drop the triggers, then anything."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DROP TRIGGER entries_no_update")
        connection.execute("DROP TRIGGER entries_no_delete")
        for statement in statements:
            connection.execute(statement)


def forge(log: AuditLog, database: Path, numbers: range) -> None:
    """Change entries and everything that follows from them, as a careful forger would."""
    entries = {entry.seq: entry for entry in log.entries()}
    statements = []
    for number in numbers:
        before = entries[number - 1].hash
        entry = replace(entries[number], body=b'"forged"', prev_hash=before)
        entries[number] = replace(entry, hash=entry.compute_hash())
        statements.append(
            f"UPDATE entries SET body = x'{entry.body.hex()}', prev_hash = x'{before.hex()}',"
            f" hash = x'{entries[number].hash.hex()}' WHERE seq = {number}"
        )
    tamper(database, *statements)
