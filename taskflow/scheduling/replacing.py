"""What becomes of a schedule that is put again, paused, or goes on."""

import msgspec

from taskflow.broker import Broker
from taskflow.broker.change import Put
from taskflow.scheduling.spec import Spec
from taskflow.scheduling.stored import Row, State, Stored, first_tick, planned, put_row


def put_new(name: str, stored: Stored, broker: Broker, now: float) -> Put:
    """One that is new: its first tick is later than now."""
    stored, due_at = planned(stored, first_tick(stored.spec, now), broker)
    return put_row(name, stored, "active" if due_at is not None else "ended", 0, due_at, now)


def put_again(row: Row, stored: Stored, spec: Spec, broker: Broker, now: float) -> Put:
    """One that was there, with what it says now; `stored` is all else of it. Its history stays.

    A tick that was planned stays so while the times are the same; other times begin now, and what
    they would have had before is not made up for. One that is paused stays so.
    """
    before = row.stored.spec
    stored = msgspec.structs.replace(stored, spec=spec)
    if before.timing == spec.timing and before.jitter == spec.jitter and row.state != "ended":
        return put_row(row.name, stored, row.state, row.version, row.due_at, now)
    if before.timing == spec.timing and row.state == "ended":
        return put_row(row.name, stored, "ended", row.version, None, now)
    stored = msgspec.structs.replace(stored, waiting=None)
    stored, due_at = planned(stored, first_tick(spec, now), broker)
    state: State = "paused" if row.state == "paused" else "active"
    return put_row(row.name, stored, state, row.version, due_at, now)


def put_paused(row: Row, now: float, why: str = "") -> Put:
    """One that is not fired until it goes on."""
    stored = msgspec.structs.replace(row.stored, paused_for=why, waiting=None)
    return put_row(row.name, stored, "paused", row.version, None, now)


def put_resumed(row: Row, broker: Broker, now: float) -> Put:
    """One that goes on from now; what it would have had meanwhile is not made up for."""
    stored = msgspec.structs.replace(row.stored, paused_for="", missing_since=None)
    stored, due_at = planned(stored, first_tick(stored.spec, now), broker)
    state: State = "active" if due_at is not None else "ended"
    return put_row(row.name, stored, state, row.version, due_at, now)
