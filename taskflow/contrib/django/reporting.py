"""Runs of ours as results of Django's."""

from collections.abc import Sequence
from typing import Any

from taskflow.broker import Broker
from taskflow.clock import to_datetime
from taskflow.contrib.django.interface import TaskError, TaskResult, TaskResultStatus
from taskflow.payload import read_any
from taskflow.tasks.canvas.conducting import value_of
from taskflow.tasks.run import Row, Run, RunError

STATUSES = {
    "running": TaskResultStatus.RUNNING,
    "done": TaskResultStatus.SUCCESSFUL,
    "failed": TaskResultStatus.FAILED,
    "cancelled": TaskResultStatus.FAILED,
    "expired": TaskResultStatus.FAILED,
}
"""READY are all others: they will run, or run again."""
ENDED = {"cancelled": "RunCancelled", "expired": "RunExpired"}


def made_result(
    task: Any,
    id: str,
    args: Sequence[Any],
    kwargs: Any,
    *,
    status: Any = TaskResultStatus.READY,
    attempts: int = 0,
    worker: str = "",
    errors: Sequence[Any] = (),
    enqueued_at: float | None = None,
    started_at: float | None = None,
    tried_at: float | None = None,
    finished_at: float | None = None,
) -> Any:
    """A TaskResult; times in epoch seconds. Of attempts before the last nobody knows the worker,
    and each of those is an empty name."""
    return TaskResult(
        task=task,
        id=id,
        status=status,
        enqueued_at=_moment(enqueued_at),
        started_at=_moment(started_at),
        finished_at=_moment(finished_at),
        last_attempted_at=_moment(tried_at),
        args=list(args),
        kwargs=dict(kwargs),
        backend=task.backend,
        errors=list(errors),
        worker_ids=[*[""] * (attempts - 1), worker] if attempts else [],
    )


def result_of(task: Any, broker: Broker, row: Row) -> Any:
    """A run as it was found."""
    run = row.run
    result = made_result(
        task,
        row.id,
        read_any(run.args),
        read_any(run.kwargs),
        status=STATUSES.get(row.state, TaskResultStatus.READY),
        attempts=run.attempts,
        errors=_errors(row.state, run),
        enqueued_at=row.created_at,
        started_at=run.started_at,
        tried_at=run.started_at,
        finished_at=run.finished_at,
    )
    if row.state == "done":
        keep_value(result, read_any(value_of(broker, row)))
    return result


def keep_value(result: Any, value: Any) -> None:
    """Let a result answer what the task returned; Django's has no other way to be told."""
    object.__setattr__(result, "_return_value", value)


def error_result(error: RunError) -> Any:
    """What a run failed with. `exception_class` imports it by its name: it is text until then."""
    path = error.type if "." in error.type else f"builtins.{error.type}"
    return TaskError(exception_class_path=path, traceback=error.traceback)


def _errors(state: str, run: Run) -> list[Any]:
    if state in ENDED:
        return [TaskError(exception_class_path=f"taskflow.errors.{ENDED[state]}", traceback="")]
    return [] if run.error is None else [error_result(run.error)]


def _moment(seconds: float | None) -> Any:
    return None if seconds is None else to_datetime(seconds)
