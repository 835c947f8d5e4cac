"""Why a run that has ended answers nothing."""

from taskflow.errors import ResultError, RunCancelled, RunExpired, RunFailed
from taskflow.tasks.run import Row, RunError


def ended_badly(row: Row) -> ResultError:
    """What to raise for a run that has ended otherwise than `done`."""
    run = row.run
    if row.state == "failed":
        return RunFailed(row.id, run.task, run.error or RunError(type="", message="failed"))
    if row.state == "expired":
        return RunExpired(f"run {row.id!r} of {run.task} was not begun in time")
    return RunCancelled(f"run {row.id!r} of {run.task} was cancelled")
