"""Calls written by hand that want a result: the first worker that sees one makes its run."""

from collections.abc import Sequence

from taskflow.broker import Broker
from taskflow.broker.change import Change
from taskflow.errors import LimitExceeded, Reject, VersionConflict
from taskflow.message import Delivery
from taskflow.tasks.call_options import keep_of
from taskflow.tasks.durable import Durable
from taskflow.tasks.preparing import KEEP_FAILED, put_run
from taskflow.tasks.run import Row, Run, load
from taskflow.tasks.task_body import TaskBody
from taskflow.tasks.task_entry import TaskEntry
from taskflow.tasks.task_table import TaskTable

Call = tuple[Delivery, TaskBody]
Made = dict[tuple[str, str], Row | Reject]
"""By queue and the id of the message."""


def make_runs(broker: Broker, tasks: TaskTable, calls: Sequence[Call]) -> Made:
    """The run of each call, by its queue and the id of its message, which is that of the run: as it
    is, or made now. Why there is none, for a call that cannot have one; without those whose task is
    not known here."""
    if not broker.features.runs:
        return {}
    found: Made = {}
    there = load(broker, [delivery.id for delivery, _ in calls])
    new: list[tuple[str, Run]] = []
    for delivery, body in calls:
        entry = tasks.get(delivery.queue, body.task or "")
        if entry is None:
            continue
        try:
            run = _run_of(delivery, body, entry)
        except ValueError as error:
            found[delivery.queue, delivery.id] = Reject(f"the call cannot have a result: {error}")
            continue
        if (row := there.get(delivery.id)) is not None:
            found[delivery.queue, delivery.id] = _if_same(row, run)
        else:
            new.append((delivery.id, run))
    changes = [Change(records=[put_run(id, run, "waiting", 0)]) for id, run in new]
    answers = broker.apply(changes, durable=False) if changes else []
    for (id, run), answer in zip(new, answers, strict=True):
        if isinstance(answer.refused, VersionConflict):  # another worker was faster
            row = load(broker, [id]).get(id)
            if row is not None:
                found[run.queue, id] = _if_same(row, run)
        elif isinstance(answer.refused, LimitExceeded):
            found[run.queue, id] = Reject(f"the call cannot have a result: {answer.refused}")
        else:
            answer.or_raise()
            found[run.queue, id] = Row(id, "waiting", answer.versions[0], run, broker.clock.now())
    return found


def _run_of(delivery: Delivery, body: TaskBody, entry: TaskEntry) -> Run:
    """What is kept of the call. Raises ValueError for a time that cannot be."""
    keep = entry.keep if body.result is None else keep_of("result", body.result)
    return Run(
        task=entry.name,
        queue=delivery.queue,
        args=body.args,
        kwargs=body.kwargs,
        keep=keep,
        keep_failed=entry.keep_failed or max(keep, KEEP_FAILED),
        group=delivery.group,
        priority=delivery.priority,
        slot=delivery.slot,
        headers=dict(body.headers),
        expires_at=body.expires,
        tick=body.tick,
        trace=delivery.trace,
        durable=None if entry.durable is None else Durable(),
    )


def _if_same(row: Row, run: Run) -> Row | Reject:
    """The run that is there, if it is that of this call: an id given by hand proves nothing."""
    has = row.run
    same = (has.task, has.queue, has.args, has.kwargs) == (
        run.task,
        run.queue,
        run.args,
        run.kwargs,
    )
    if same and has.place is None:
        return row
    return Reject(f"there is another run {row.id!r}: its id was used before")
