"""The runs of workflows, the newest first."""

import heapq
from collections.abc import Collection, Iterator

from taskflow.broker import Broker
from taskflow.tasks.listing import list_runs
from taskflow.tasks.run import Row, State
from taskflow.tasks.workflow_names import noted_workflows

PAGE = 100


def newest_runs(
    broker: Broker,
    workflow: str | None = None,
    *,
    states: Collection[State] = (),
    since: float | None = None,
    key: str | None = None,
) -> Iterator[Row]:
    """Runs of a workflow, or of all that a worker has ever declared, called from `since` on (epoch
    seconds), read as they are asked for; those of tasks are not read. With `key`, the one of
    `workflow` that holds it now. Raises as `list_runs` does."""
    names = noted_workflows(broker) if workflow is None else [workflow]

    def runs(name: str) -> Iterator[Row]:
        after: str | None = None
        while True:
            page = list_runs(
                broker, task=name, states=states, since=since, key=key, after=after, limit=PAGE
            )
            yield from (row for row in page.runs if row.run.durable is not None)
            if (after := page.next) is None:
                return

    return heapq.merge(*map(runs, names), key=lambda row: -row.created_at)
