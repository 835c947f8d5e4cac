"""A run as plain data, as the command line and `GET /runs/ID` show it."""

from collections.abc import Sequence
from typing import Any

from taskflow.broker import Broker
from taskflow.sealing.codec import shown, shown_raw
from taskflow.tasks.canvas.conducting import value_of
from taskflow.tasks.endings import shown_error
from taskflow.tasks.preparing import key_of
from taskflow.tasks.progress import PROGRESS, Step, read_step
from taskflow.tasks.run import Row, state_of


def describe_runs(
    broker: Broker, rows: Sequence[Row], *, bodies: bool = False
) -> list[dict[str, Any]]:
    """Each run as a dict that msgspec writes as JSON; times in epoch seconds, None for what is not
    there (yet). `bodies`: with what it was called with and returned, and the traceback of its
    failure. Of what is sealed it says that it is. Raises BrokerUnavailable."""
    now = broker.clock.now()
    said = broker.records(PROGRESS, [row.id for row in rows]) if rows else {}
    steps = {id: read_step(record.value) for id, record in said.items()}
    return [_describe(broker, row, steps.get(row.id), now, bodies) for row in rows]


def _describe(
    broker: Broker, row: Row, step: Step | None, now: float, bodies: bool
) -> dict[str, Any]:
    run, error = row.run, None
    if (failure := shown_error(row.run.error)) is not None:
        error = {"type": failure.type, "message": failure.message}
        if bodies:
            error["traceback"] = failure.traceback
    found: dict[str, Any] = {
        "id": row.id,
        "task": run.task,
        "queue": run.queue,
        "state": state_of(row, now),
        "key": None if run.key is None else run.key.removeprefix(key_of(run.task, "")),
        "attempts": run.attempts,
        "progress": None if step is None else step._replace(note=shown(step.note))._asdict(),
        "error": error,
        "created_at": row.created_at,
        "starts_at": run.starts_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "expires_at": run.expires_at,
    }
    if bodies:
        found |= {"args": shown_raw(run.args), "kwargs": shown_raw(run.kwargs)}
        found["result"] = shown_raw(value_of(broker, row)) if row.state == "done" else None
    return found
