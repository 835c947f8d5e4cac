"""Who most messages are for, found quickly: calls and runs of which nothing more is to be asked."""

from taskflow.engine import Found
from taskflow.message import Delivery
from taskflow.tasks.run import FINAL, Row
from taskflow.tasks.task_body import TaskBody
from taskflow.tasks.task_table import TaskTable
from taskflow.tasks.work import Work


def find_plain(
    tasks: TaskTable, delivery: Delivery, body: TaskBody, row: Row | None
) -> Found | None:
    """As `Reader` finds it the long way. None, which says nothing, for whatever might be no message
    of its run, be over or too late, or have a plan, steps or a limit. `row` is that of the run that
    the body names; nobody has cancelled a call without one."""
    if row is None:
        if body.task is None or body.expires is not None:
            return None
        entry = tasks.get(delivery.queue, body.task)
        if entry is None or entry.flow is not None:
            return None
        work = Work(delivery, body.task, body)
        return Found(entry, entry.policy, entry.window, None, None, None, work)
    run = row.run
    if (
        delivery.id != row.id  # as it has in its first generation
        or body.generation != 1
        or run.generation != 1
        or delivery.queue != run.queue
        or row.state in FINAL
        or run.stop
        or run.expires_at is not None
        or run.place is not None
        or run.durable is not None
    ):
        return None
    entry = tasks.get(run.queue, run.task)
    if entry is None or entry.flow is not None or entry.durable is not None:
        return None
    work = Work(delivery, run.task, body, row)
    return Found(entry, entry.policy, 0.0, None, None, None, work)
