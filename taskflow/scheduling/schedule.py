"""A schedule as people see it."""

import msgspec

from taskflow.broker.record import Record
from taskflow.errors import DecodeError
from taskflow.scheduling.missed_ticks import Missed
from taskflow.scheduling.spec import Overlap
from taskflow.scheduling.stored import Source, State, row_of


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """Times in epoch seconds, durations in seconds.

    One of `every`, `cron` and `at` says when; it calls `task` on `queue`, or publishes to `topic`.
    `next_tick` is planned, `due_at` later by the jitter; `waiting` is a tick that waits for the run
    before. `fired`, `skipped` (that run had not ended) and `missed` count ticks, `failed` how
    often it could not be fired. `source` says whether code has it, or a `put` made it, `app` and
    `release` of which code; since `missing_since` that code has it no more.
    """

    name: str
    state: State
    every: float | None = None
    cron: str | None = None
    at: float | None = None
    tz: str = "UTC"
    task: str | None = None
    queue: str | None = None
    topic: str | None = None
    missed_ticks: Missed = "last"
    catchup: float | None = None
    overlap: Overlap = "skip"
    jitter: float = 0.0
    next_tick: float | None = None
    due_at: float | None = None
    last_tick: float | None = None
    waiting: float | None = None
    fired: int = 0
    skipped: int = 0
    missed: int = 0
    failed: int = 0
    source: Source = "put"
    app: str = ""
    release: str = ""
    missing_since: float | None = None


def shown(record: Record) -> Schedule:
    """The schedule in a record; one that cannot be read has that state, and its name."""
    try:
        row = row_of(record)
    except DecodeError:
        return Schedule(
            name=record.key, state="unreadable", due_at=record.due_at, failed=record.count
        )
    stored, spec = row.stored, row.stored.spec
    return Schedule(
        name=row.name,
        state=row.state,
        every=spec.timing.every,
        cron=spec.timing.cron,
        at=spec.timing.at,
        tz=spec.timing.tz,
        task=None if spec.task is None else spec.task.name,
        queue=None if spec.task is None else spec.task.queues[0],
        topic=spec.topic,
        missed_ticks=spec.missed,
        catchup=spec.catchup,
        overlap=spec.overlap,
        jitter=spec.jitter,
        next_tick=stored.next_tick if row.state == "active" else None,
        due_at=row.due_at,
        last_tick=stored.last_tick,
        waiting=stored.waiting,
        fired=stored.fired,
        skipped=stored.skipped,
        missed=stored.missed,
        failed=row.failed,
        source=stored.source,
        app=stored.app,
        release=stored.release,
        missing_since=stored.missing_since,
    )
