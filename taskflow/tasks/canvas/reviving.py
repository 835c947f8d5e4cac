"""A failed part of a plan whose dead letter was redriven: what else lives again with it."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from taskflow.broker import Broker
from taskflow.broker.change import Add, Put, Remove
from taskflow.errors import QueueNotFound
from taskflow.message import Delivery
from taskflow.tasks.canvas.following import kept_parts
from taskflow.tasks.durable import STEP
from taskflow.tasks.preparing import put_run
from taskflow.tasks.run import RUN, Row, Run, load


class Revival(NamedTuple):
    """The run as it waits again, and what is written with it. `goes_on`: its chain, which had
    ended with it, does too. `cancelled`: all of its plan is, and it is not to run."""

    run: Run
    records: Sequence[Put | Remove] = ()
    counters: Sequence[Add] = ()
    goes_on: bool = False
    cancelled: bool = False


def revive(broker: Broker, row: Row) -> Revival:
    """What lets a failed run live again. A chain goes on from there; what waits still for
    others beside it, a group or a workflow, waits for it again; what has ended is left as it is."""
    place = row.run.place
    if place is None:
        return Revival(row.run)
    run, counters = _counted_again(broker, row.run)
    records: list[Put | Remove] = [*kept_parts(row)]
    root = load(broker, [place.root]).get(place.root)
    if root is not None and root.state == "cancelled":
        return Revival(run, records, counters, cancelled=True)
    tail = None if place.tail is None else load(broker, [place.tail]).get(place.tail)
    if tail is None or tail.state != "failed":
        return Revival(run, records, counters)
    last, more = _counted_again(broker, tail.run)
    last = msgspec.structs.replace(last, error=None, finished_at=None)
    records += [put_run(tail.id, last, "suspended", tail.version, rings=True), *kept_parts(tail)]
    return Revival(run, records, [*counters, *more], goes_on=True)


def lies_still(broker: Broker, delivery: Delivery) -> bool:
    """Whether a message is not the dead letter of its run: that was not redriven, and lies there.
    (It is said twice what begins a run, or wakes it. On AWS nobody can tell.)"""
    if not broker.features.atomic:
        return False
    try:
        dead = broker.settings(delivery.queue).dead_letter_queue
        return dead is not None and bool(broker.peek(dead, 1, [delivery.id]))
    except QueueNotFound:
        return False


def _counted_again(broker: Broker, run: Run) -> tuple[Run, list[Add]]:
    """What waited for a run has counted it when it failed: it is waited for again, once, if that
    waits still, or may again, and counts nowhere if it does not."""
    place = run.place
    if place is None or place.up is None:
        return run, []
    up = place.up
    group = load(broker, [up.group.id]).get(up.group.id)
    waits = group is not None and (group.state, group.run.generation) == (
        "suspended",
        up.generation,
    )
    if up.counts is not None:  # a workflow that has failed may go on, too: its steps count on
        counters = [Add(STEP, up.counts, 1, [])]  # it is woken by whatever counts down to 0
    else:
        counters = [Add(RUN, up.group.id, 1, [])] if waits else []
    if not up.stops:  # its failure has begun what follows it: that is not begun twice
        up = msgspec.structs.replace(up, starts=None)
    kept = up if counters else None
    return msgspec.structs.replace(run, place=msgspec.structs.replace(place, up=kept)), counters
