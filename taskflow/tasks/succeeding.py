"""The end of a run that succeeded, and from which nothing follows: most end so."""

from typing import Any

import msgspec

from taskflow.broker import Broker, Finish
from taskflow.broker.change import Change, Free, Put
from taskflow.engine import Ended
from taskflow.retry import Done
from taskflow.tasks.run import FINAL, NULL, RUN, write_run
from taskflow.tasks.work import Work


def plain_end(broker: Broker, ended: Ended, work: Work) -> Change | None:
    """The end of a run that has succeeded and from which nothing follows, as `settling` would put
    it together, too. None for all else, which it says nothing of."""
    row, outcome, out = work.row, ended.outcome, work.outgoing
    entry: Any = ended.found.entry  # a task's
    if row is None or type(outcome) is not Done or outcome.skipped is not None:
        return None
    run, progress = row.run, work.progress
    if (
        run.place is not None
        or run.durable is not None
        or row.state in FINAL
        or (out is not None and (out.sends or out.records or out.counters))
        or (progress is not None and not progress.said)
        or (entry is not None and entry.on_success is not None)
        or not broker.features.atomic
    ):
        return None
    delivery, value, at = ended.delivery, outcome.value, ended.at
    run = msgspec.structs.replace(
        run,
        attempts=delivery.receive_count,
        result=NULL if value is None else msgspec.Raw(value),
        error=None,
        finished_at=at,
    )
    put = Put(
        kind=RUN,
        key=row.id,
        value=write_run(run).decode(),
        expected=row.version,
        label=run.task,
        state="done",
        expires_at=at + run.keep,
        rings=True,
    )
    return Change(
        fence=delivery,
        keys=[] if run.key is None else [Free(run.key, row.id)],
        records=[put],
        settlements=[Finish(delivery, ended.found.window)],
    )
