"""What a life of a run leaves behind that was begun anew: its steps, and the runs they called."""

from typing import Any

import msgspec

from taskflow.broker import Broker
from taskflow.broker.change import Change, Put, Remove
from taskflow.broker.record import Record, RecordQuery
from taskflow.tasks.canvas.following import LIFE, sweep_life
from taskflow.tasks.child_ids import ids_of
from taskflow.tasks.durable import STEP, life_of
from taskflow.tasks.run import FINAL, RUN, Row, load

AT_ONCE = 500  # records of one change
LATER = 60.0  # seconds until it is looked again for children that have not ended


def sweep_old_life(broker: Broker, due: Record) -> None:
    """Remove some of what `due` is of, and that itself with the last of it. Children that still run
    are let end first: their messages name them. What is done twice at a time does no harm."""
    label, now = due.key.removesuffix(LIFE), broker.clock.now()
    query = RecordQuery(kind=STEP, label=label, order="oldest", limit=AT_ONCE)
    page = broker.list_records(query)
    changes: list[Put | Remove] = []
    waits = False
    for record in page.records:
        if len(changes) >= AT_ONCE:
            break
        step: dict[str, Any] = msgspec.json.decode(record.value)
        size = step.get("size", 0) if step.get("kind") == "runs" else 0
        first = max(0, size - AT_ONCE)
        ids = ids_of(label, step["step"], range(first, size), step.get("alone", False))
        rows = list(load(broker, ids).values()) if ids else []
        if any(row.state not in FINAL for row in rows):
            waits = True
            continue
        for row in rows:
            changes += _gone(row, now)
        if not first:
            changes.append(Remove(STEP, record.key, record.version))
            continue
        step["size"] = first  # the rest of its children the next time
        value = msgspec.json.encode(step).decode()
        put = Put(kind=STEP, key=record.key, value=value, expected=record.version)
        changes.append(msgspec.structs.replace(put, parent=record.parent, label=label))
    if waits and not changes:
        changes.append(sweep_life(label, now + LATER))
    elif not page.records:
        changes.append(Remove(due.kind, due.key))
    broker.apply([Change(records=changes)], durable=False)


def _gone(row: Row, now: float) -> list[Put | Remove]:
    """A child with the steps of its lives."""
    found: list[Put | Remove] = [Remove(RUN, row.id)]
    if (durable := row.run.durable) is not None:
        found.append(sweep_life(life_of(row.id, durable), now))
    return found
