"""The end of a run that succeeded, and from which nothing follows: most end so."""

import msgspec

from taskflow.broker import Broker, Finish
from taskflow.broker.change import Change, Free
from taskflow.engine import Ended
from taskflow.retry import Done
from taskflow.tasks.preparing import put_run
from taskflow.tasks.run import FINAL, NULL, Row
from taskflow.tasks.task_entry import TaskEntry


def only_ends(broker: Broker, ended: Ended, row: Row, outcome: Done) -> bool:
    """Whether a run has succeeded from which nothing follows: most do."""
    work, run, entry = ended.found.work, row.run, ended.found.entry
    out, progress = work.outgoing, work.progress
    return (
        outcome.skipped is None
        and row.state not in FINAL
        and run.place is None
        and run.durable is None
        and (out is None or not (out.sends or out.records or out.counters))
        and (progress is None or progress.said)
        and (not isinstance(entry, TaskEntry) or entry.on_success is None)
        and broker.features.atomic
    )


def end_of(ended: Ended, row: Row, outcome: Done) -> Change:
    """Such an end: as `settling` would put it together, too."""
    delivery, value = ended.delivery, outcome.value
    run = msgspec.structs.replace(
        row.run,
        attempts=delivery.receive_count,
        result=NULL if value is None else msgspec.Raw(value),
        error=None,
        finished_at=ended.at,
    )
    put = put_run(row.id, run, "done", row.version, expires_at=ended.at + run.keep, rings=True)
    return Change(
        fence=delivery,
        keys=[] if run.key is None else [Free(run.key, row.id)],
        records=[put],
        settlements=[Finish(delivery, ended.found.window)],
    )
