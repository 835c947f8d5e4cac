"""Why a run that has ended answers nothing."""

from taskflow.errors import ResultError, RunCancelled, RunExpired, RunFailed
from taskflow.payload import SEALED
from taskflow.sealing.codec import shown
from taskflow.tasks.run import Row, RunError


def shown_error(error: RunError | None) -> RunError | None:
    """An error for people: what is sealed of it says so."""
    if error is None or not (error.message or error.traceback).startswith(SEALED):
        return error
    return RunError(type=error.type, message=shown(error.message), traceback=shown(error.traceback))


def ended_badly(row: Row) -> ResultError:
    """What to raise for a run that has ended otherwise than `done`."""
    run = row.run
    if row.state == "failed":
        return RunFailed(
            row.id, run.task, shown_error(run.error) or RunError(type="", message="failed")
        )
    if row.state == "expired":
        return RunExpired(f"run {row.id!r} of {run.task} was not begun in time")
    return RunCancelled(f"run {row.id!r} of {run.task} was cancelled")
