"""The steps of a run, as the broker has them."""

from collections.abc import Iterator

from taskflow.broker.record import RecordQuery
from taskflow.broker.runs import Runs
from taskflow.tasks.durable import STEP, Durable, life_of
from taskflow.tasks.run import Row
from taskflow.workflows.checkpoint import Checkpoint, read_checkpoint

PAGE = 1000


def load_steps(broker: Runs, run: str, durable: Durable) -> Iterator[tuple[Checkpoint, int]]:
    """The steps of a run's present life, in the order in which they were first written, each with
    its record's version."""
    after: str | None = None
    while True:
        page = broker.list_records(
            RecordQuery(
                kind=STEP, label=life_of(run, durable), order="oldest", after=after, limit=PAGE
            )
        )
        for record in page.records:
            yield read_checkpoint(record.value), record.version
        if (after := page.next) is None:
            return


def is_fresh(row: Row) -> bool:
    """Whether no attempt of it was ever begun: then it has no steps."""
    run = row.run
    begun = row.state != "waiting" or run.attempts or run.started_at is not None
    return not begun and run.generation == 1
