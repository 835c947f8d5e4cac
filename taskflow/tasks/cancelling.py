"""Ending a run before its time: at once when it waits, by telling it when it runs."""

import msgspec

from taskflow.broker import Broker
from taskflow.broker.change import Change, Put
from taskflow.errors import VersionConflict
from taskflow.tasks.preparing import end_run, put_run
from taskflow.tasks.run import FINAL, RUN, row_of

CANCEL = "cancel"
"""The kind of the records that cancel calls without a run, by their message's id."""
KEPT = 14 * 86400.0  # seconds: no message waits longer


def cancel(broker: Broker, id: str) -> bool:
    """Cancel a call. A run that waits has ended when this returns; one that runs is told within a
    second, and ends by itself. For a call without a run the word is kept until its message comes:
    it counts for what starts more than a second later. False when it has ended before."""
    while (record := broker.records(RUN, [id]).get(id)) is not None:
        row, now = row_of(record), broker.clock.now()
        if row.state in FINAL:
            return False
        if row.state == "running":
            stopping = msgspec.structs.replace(row.run, stop=True)
            change = Change(records=[put_run(id, stopping, "running", row.version)])
        else:
            put, freed = end_run(id, row.version, row.run, "cancelled", now)
            change = Change(records=[put], keys=freed)
        refused = broker.apply([change])[0].refused
        if refused is None:
            return True
        if not isinstance(refused, VersionConflict):
            raise refused
    until = broker.clock.now() + KEPT
    broker.apply([Change(records=[Put(kind=CANCEL, key=id, value="{}", expires_at=until)])])
    return True
