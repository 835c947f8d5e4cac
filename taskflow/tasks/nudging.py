"""Telling a run that waits that something may concern it: it goes on, and looks."""

from collections.abc import Sequence

import msgspec

from taskflow.broker import Broker
from taskflow.broker.change import Change, Put, Send
from taskflow.errors import VersionConflict
from taskflow.tasks.durable import Durable
from taskflow.tasks.preparing import put_run, run_message
from taskflow.tasks.run import FINAL, Row, load


def nudge(
    broker: Broker, id: str, signal: str | None = None, records: Sequence[Put] = ()
) -> Row | None:
    """Wake a run if it waits for this signal (None: for anything); one that does not wait now will
    look again before it does. Writes the `records` too, in the same change. Answers the run as it
    was; None when there is none that lives, and then nothing was written. Raises what the change
    is refused with, but for a run that has just changed: then it looks again."""
    while (row := load(broker, [id]).get(id)) is not None and row.state not in FINAL:
        durable = row.run.durable or Durable()
        known = msgspec.structs.replace(durable, nudges=durable.nudges + 1)
        run = msgspec.structs.replace(row.run, durable=known)
        wakes = row.state == "suspended" and (signal is None or signal in durable.awaits)
        state, due_at = ("waiting", None) if wakes else (row.state, row.due_at)
        put = put_run(id, run, state, row.version, due_at=due_at)
        message = run_message(id, run, 0.0, broker.max_message_bytes)
        sends = [Send(run.queue, [message])] if wakes else []
        refused = broker.apply([Change(records=[*records, put], sends=sends)])[0].refused
        if refused is None:
            return row
        if not isinstance(refused, VersionConflict) or refused.key != id:
            raise refused
    return None
