"""A schedule as it is kept: a record, of which the next tick is the due time."""

from typing import Literal, cast

import msgspec

from taskflow.broker import Broker
from taskflow.broker.change import Put
from taskflow.broker.record import Record
from taskflow.errors import DecodeError
from taskflow.scheduling.spec import Spec

SCHEDULE = "schedule"
"""The kind of the records."""
KEEP_ENDED = 14 * 86400.0  # seconds that one which was put is shown after its last tick

State = Literal["active", "paused", "ended", "unreadable"]
"""`ended`: it has no tick to come."""
Source = Literal["code", "put"]


class Stored(msgspec.Struct, gc=False, frozen=True, kw_only=True, omit_defaults=True):
    """The value of a schedule's record. Times in epoch seconds.

    `next_tick` is planned, and the record's `due_at` is later than it by the jitter. `waiting` is a
    tick whose run waits for the one before (overlap "queue"). `fired`, `skipped` (since the run
    before had not ended) and `missed` count ticks. `source` says who wrote it: code, of that
    application and release, or a `put`. `missing_since`: when it was first seen that code has it no
    more; `paused_for` is "missing" when it was paused for that.
    """

    spec: Spec
    source: Source = "put"
    app: str = ""
    release: str = ""
    next_tick: float | None = None
    last_tick: float | None = None
    waiting: float | None = None
    fired: int = 0
    skipped: int = 0
    missed: int = 0
    missing_since: float | None = None
    paused_for: str = ""


class Row(msgspec.Struct, gc=False, frozen=True):
    """A schedule as it was found. `failed` counts how often it could not be fired."""

    name: str
    state: State
    version: int
    stored: Stored
    due_at: float | None = None
    failed: int = 0


_write = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(Stored).decode


def row_of(record: Record) -> Row:
    """The schedule in a record. Raises DecodeError for one that nobody can read."""
    try:
        stored = _read(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DecodeError(
            f"the record of schedule {record.key!r} cannot be read: {error}"
        ) from None
    state: State = "active"
    if record.state in ("paused", "ended"):
        state = cast(State, record.state)
    return Row(record.key, state, record.version, stored, record.due_at, record.count)


def put_row(
    name: str,
    stored: Stored,
    state: State,
    expected: int,
    due_at: float | None,
    now: float,
) -> Put:
    """A schedule as the record to write."""
    active = state == "active"
    return Put(
        kind=SCHEDULE,
        key=name,
        value=_write(stored).decode(),
        expected=expected,
        parent=parent_of(stored.app) if stored.source == "code" else None,
        label=stored.spec.label,
        state=state,
        due_at=due_at if active else None,
        expires_at=now + KEEP_ENDED if state == "ended" and stored.source == "put" else None,
    )


def as_written(put: Put, before: Record | None) -> Record:
    """The record that was just written over the one before: what it counts stays. (It need not be
    read again to be shown.)"""
    return Record(
        kind=put.kind,
        key=put.key,
        version=0,  # of one that is only shown
        value=put.value,
        parent=put.parent,
        label=put.label,
        state=put.state,
        due_at=put.due_at,
        expires_at=put.expires_at,
        count=0 if before is None else before.count,
    )


def parent_of(app: str) -> str:
    """What the schedules of an application's code are listed by."""
    return f"code/{app}"


def planned(stored: Stored, tick: float | None, broker: Broker) -> tuple[Stored, float | None]:
    """With that tick as its next one; and when that is due."""
    stored = msgspec.structs.replace(stored, next_tick=tick)
    return stored, due_time(stored, broker)


def due_time(stored: Stored, broker: Broker) -> float | None:
    """When its next tick is due, by its jitter."""
    due_at = stored.next_tick
    if due_at is not None and stored.spec.jitter:
        due_at += broker.random.uniform(0.0, stored.spec.jitter)
    return due_at


def first_tick(spec: Spec, now: float) -> float | None:
    """The first tick of one that is new, or goes on: what is due once may be due already."""
    return spec.timing.next(now) if spec.timing.at is None else spec.timing.at
