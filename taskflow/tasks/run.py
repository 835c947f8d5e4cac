"""A run: what is kept of one call of a task that somebody wants to know of, as a record."""

import logging
from collections.abc import Collection, Iterable, Iterator
from typing import Literal, get_args

import msgspec

from taskflow.broker.record import Record
from taskflow.broker.runs import Runs
from taskflow.errors import DecodeError
from taskflow.message import Priority
from taskflow.payload import UNREADABLE
from taskflow.tasks.canvas.links import Place
from taskflow.tasks.durable import Durable

log = logging.getLogger("taskflow.tasks")
RUN = "run"
"""The kind of the records."""

State = Literal[
    "unknown",
    "scheduled",
    "waiting",
    "running",
    "retrying",
    "suspended",
    "done",
    "failed",
    "cancelled",
    "expired",
]
STATES: tuple[State, ...] = get_args(State)
FINAL = frozenset[str](("done", "failed", "cancelled", "expired"))
"""How a run ends; from then on nothing of it changes but that it goes, after its time."""

NULL = msgspec.Raw(b"null")
NO_ARGS, NO_KWARGS = msgspec.Raw(b"[]"), msgspec.Raw(b"{}")


class RunError(msgspec.Struct, gc=False, frozen=True, kw_only=True, omit_defaults=True):
    """What a run failed with, as text: `type` is the exception's name with its module."""

    type: str
    message: str
    traceback: str = ""


class Run(msgspec.Struct, gc=False, frozen=True, kw_only=True, omit_defaults=True):
    """The value of a run's record. Times in epoch seconds, durations in seconds.

    `generation` tells this life of the run from those before (`retry`): a message of another one
    is stale. `attempts` have begun. `keep` and `keep_failed`: how long it stays after its end.
    `key` is the unique key that it holds while it lives. `stop`: it was cancelled while it ran.
    `place` is where it stands in its plan, if it is part of one; `durable`: it may wait and go on.
    `tick` is the time that a schedule planned it for, `starts_at` when it is due if not at once,
    `first_at` when the first of the calls was made that it stands for (debounce). `waits`: how
    long after what is before it in its plan. `trace` is that of its call (`Message.trace`).
    """

    task: str
    queue: str
    args: msgspec.Raw = NO_ARGS
    kwargs: msgspec.Raw = NO_KWARGS
    generation: int = 1
    keep: float
    keep_failed: float
    key: str | None = None
    group: str | None = None
    priority: Priority | None = None
    slot: str | None = None
    first_at: float | None = None
    waits: float = 0.0
    headers: dict[str, str] = {}
    expires_at: float | None = None
    tick: float | None = None
    starts_at: float | None = None
    trace: str | None = None
    attempts: int = 0
    started_at: float | None = None
    finished_at: float | None = None
    result: msgspec.Raw = NULL
    error: RunError | None = None
    stop: bool = False
    place: Place | None = None
    durable: Durable | None = None


class Row(msgspec.Struct, gc=False, frozen=True):
    """A run as it was found: its id, its state, the version that it had, and the rest of it."""

    id: str
    state: State
    version: int
    run: Run
    created_at: float = 0.0
    due_at: float | None = None


write_run = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(Run).decode


def state_of(row: Row, now: float) -> State:
    """Where a run stands at a time: it is scheduled while its message waits for its delay, too."""
    starts_at = row.run.starts_at
    if row.state == "waiting" and starts_at is not None and starts_at > now:
        return "scheduled"
    return row.state


def read_run(id: str, value: str) -> Run:
    """The value of a run's record. Raises DecodeError for one that cannot be read here: of another
    release, or nested deeper than this Python reads."""
    try:
        return _read(value)
    except UNREADABLE as error:
        raise DecodeError(f"run {id!r} cannot be read here: {error}") from None


def row_of(record: Record) -> Row:
    """The run in a record. Raises DecodeError as `read_run`."""
    state: State = record.state if record.state in STATES else "unknown"
    run = read_run(record.key, record.value)
    return Row(record.key, state, record.version, run, record.created_at, record.due_at)


def readable(records: Iterable[Record]) -> Iterator[Row]:
    """The runs in these records. One that cannot be read here is left out, and logged: it keeps
    nobody from the others."""
    for record in records:
        try:
            yield row_of(record)
        except DecodeError as error:
            log.warning("%s", error)


def as_durable(row: Row, durable: Durable) -> Row:
    """The run of a durable task, as its code knows it: who called it may have had the name only."""
    run, known = row.run, row.run.durable or Durable()
    if not known.version:
        known = msgspec.structs.replace(durable, nudges=known.nudges)
    run = msgspec.structs.replace(run, durable=known, place=run.place or Place(root=row.id))
    return Row(row.id, row.state, row.version, run, row.created_at, row.due_at)


def load(broker: Runs, ids: Collection[str]) -> dict[str, Row]:
    """Runs by their ids; without those that are not there. Raises DecodeError as `read_run`."""
    return {id: row_of(record) for id, record in broker.records(RUN, ids).items()}
