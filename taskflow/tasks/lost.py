"""Runs whose message is gone: purged, past its queue's retention, deleted with its queue."""

import msgspec

from taskflow.broker import Broker
from taskflow.errors import QueueNotFound
from taskflow.tasks.canvas.early_rows import is_early
from taskflow.tasks.canvas.following import Following
from taskflow.tasks.preparing import message_id
from taskflow.tasks.run import Row, RunError, load

_HAVE_MESSAGES = ("waiting", "running", "retrying")


def end_if_lost(broker: Broker, row: Row) -> Row | None:
    """The run as it is; one that nobody will ever run, since its message is gone, ends as failed by
    this. None when the run itself is gone. (On AWS nobody can tell: nothing is done.)"""
    if row.state not in _HAVE_MESSAGES or not broker.features.atomic:
        return row
    if is_early(broker, row.run):  # asked first: the last change brings the message
        return row
    try:
        held = broker.peek(row.run.queue, 1, [message_id(row.id, row.run.generation)])
    except QueueNotFound:
        held = []
    if held:
        return row
    now = load(broker, [row.id]).get(row.id)
    if now is None or now.version != row.version:
        return now  # it was settled in between, and its message with it
    error = RunError(
        type="",
        message=f"its message is no longer in queue {row.run.queue!r}: it was purged, moved, or "
        "waited longer than the queue keeps a message",
    )
    following = Following(broker, broker.clock.now())
    following.end(now, msgspec.structs.replace(now.run, error=error), "failed")
    broker.apply([following.change()])
    return load(broker, [row.id]).get(row.id)
