"""The parts of a plan go when its time is over, some at a time."""

from taskflow.broker import Broker
from taskflow.broker.change import Change, Remove
from taskflow.broker.record import RecordQuery
from taskflow.tasks.canvas.following import LIFE, SWEEP
from taskflow.tasks.canvas.old_lives import sweep_old_life
from taskflow.tasks.durable import SIGNAL, STEP
from taskflow.tasks.run import RUN

AT_ONCE = 500  # records of one change
_DUE = RecordQuery(kind=SWEEP, order="due", limit=1)


def sweep(broker: Broker, limit: int = 10) -> float | None:
    """Remove the parts and steps of plans whose time is over, a few pages; answers when there is
    more to do: now, later, or None for never. Any number may do it."""
    for _ in range(limit):
        due = next(iter(broker.list_records(_DUE).records), None)
        if due is None or due.due_at is None:
            return None
        if due.due_at > broker.clock.now():
            return due.due_at
        if due.key.endswith(LIFE):
            sweep_old_life(broker, due)
            continue
        remove_parts(broker, due.key)
    return broker.clock.now()


def remove_parts(broker: Broker, root: str) -> bool:
    """Remove a page of what goes with a run; whether that was the last of it."""
    gone: list[Remove] = []
    for kind in (RUN, STEP, SIGNAL):
        query = RecordQuery(kind=kind, parent=root, limit=AT_ONCE - len(gone))
        gone += [Remove(kind, one.key) for one in broker.list_records(query).records]
        if len(gone) == AT_ONCE:
            break
    else:
        gone.append(Remove(SWEEP, root))
    broker.apply([Change(records=gone)], durable=False)
    return gone[-1].kind == SWEEP
