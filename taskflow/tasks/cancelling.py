"""Ending a run before its time: at once when it waits, by telling it when it runs."""

from taskflow.broker import Broker
from taskflow.broker.change import Change, Put
from taskflow.broker.record import RecordQuery
from taskflow.errors import VersionConflict
from taskflow.tasks.canvas.conducting import called_by, stop_all
from taskflow.tasks.canvas.early_rows import is_early
from taskflow.tasks.canvas.following import Following
from taskflow.tasks.preparing import stop_run
from taskflow.tasks.run import FINAL, RUN, readable, row_of

CANCEL = "cancel"
"""The kind of the records that cancel calls without a run, by their message's id."""
ANY_CANCELLED = RecordQuery(kind=CANCEL, limit=1)
KEPT = 14 * 86400.0  # seconds: no message waits longer


def cancel(broker: Broker, id: str, *, without_run: bool = False) -> bool:
    """Cancel a call. A run that waits has ended when this returns; one that runs is told within a
    second, and ends by itself. For a call `without_run` the word is kept until its message comes:
    it counts for what starts more than a second later. False when it has ended before, there is
    nothing of that id, or its plan is being stored, and has not begun."""
    while (record := broker.records(RUN, [id]).get(id)) is not None:
        row, now = row_of(record), broker.clock.now()
        if row.state in FINAL or is_early(broker, row.run):
            return False
        if row.state == "running":
            change = Change(records=[stop_run(row, now)[0]])
        else:
            following = Following(broker, now)
            following.end(row, row.run, "cancelled")
            change = following.change()
        refused = broker.apply([change])[0].refused
        if refused is None:
            place = row.run.place
            if place is not None and place.root == id:
                stop_parts(broker, id)
            elif place is not None and row.run.durable is not None:
                stop_all(broker, called_by(broker, place.root, [id]), now)
            return True
        if not isinstance(refused, VersionConflict):
            raise refused
    if not without_run:
        return False
    until = broker.clock.now() + KEPT
    broker.apply([Change(records=[Put(kind=CANCEL, key=id, value="{}", expires_at=until)])])
    return True


def stop_parts(broker: Broker, root: str) -> None:
    """All of a plan that has not ended goes the way of its root; of a run without parts, nothing
    does."""
    after: str | None = ""
    while after is not None:
        query = RecordQuery(kind=RUN, parent=root, limit=1000, after=after or None)
        page = broker.list_records(query)
        stop_all(broker, readable(page.records), broker.clock.now())
        after = page.next
