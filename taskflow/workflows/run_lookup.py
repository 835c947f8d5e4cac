"""A run of a workflow by its id, or why there is none."""

from taskflow.broker import Broker
from taskflow.errors import NoResult, WorkflowError
from taskflow.tasks.run import Row, load


def find_run(broker: Broker, id: str) -> Row:
    """Raises NoResult when there is no such run, WorkflowError for one of a task."""
    row = load(broker, [id]).get(id)
    if row is None:
        raise NoResult(f"there is no run {id!r}, or not any more")
    if row.run.durable is None:
        raise WorkflowError(f"run {id!r} is one of task {row.run.task}, which is no workflow")
    return row
