"""A run, its steps and its child runs, as somebody wants to look at them."""

from typing import Any

import msgspec

from taskflow.broker import Broker
from taskflow.clock import rfc3339
from taskflow.errors import DecodeError, NoResult
from taskflow.payload import read_any
from taskflow.sealing.codec import shown_raw
from taskflow.tasks.child_ids import ids_of
from taskflow.tasks.durable import Durable, life_of
from taskflow.tasks.endings import shown_error
from taskflow.tasks.run import Row, RunError, State, load, state_of
from taskflow.workflows.checkpoint import Checkpoint, Kind
from taskflow.workflows.kept_steps import load_steps
from taskflow.workflows.signals import signals_of
from taskflow.workflows.tree_text import tree_lines

MOST_CHILDREN = 100
"""Of each step so many are shown."""


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    """A step. `id` tells it from the run's others. Times in epoch seconds, `took` in seconds."""

    id: str
    kind: Kind
    state: str
    time: float
    took: float
    attempts: int
    until: float | None
    result: Any
    error: RunError | None
    size: int
    runs: "list[Branch]"


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """A run with its steps. `waits_for` says why it does not go on; `signals` are the names of
    those that nobody has taken."""

    id: str
    task: str
    state: State
    version: int
    created_at: float
    started_at: float | None
    finished_at: float | None
    waits_for: str | None
    error: RunError | None
    signals: list[str]
    steps: list[Leaf]

    def __str__(self) -> str:
        return "\n".join(tree_lines(self))


def tree_of(broker: Broker, run: str) -> Branch:
    """The tree of a run. Raises NoResult when it is not there, BrokerUnavailable."""
    row = load(broker, [run]).get(run)
    if row is None:
        raise NoResult(f"there is no run {run!r}, or not any more")
    return _branch(broker, row)


def _branch(broker: Broker, row: Row) -> Branch:
    run, durable = row.run, row.run.durable or Durable()
    checkpoints = sorted(
        (step for step, _ in load_steps(broker, row.id, durable)), key=lambda step: step.at
    )
    root = row.id if run.place is None else run.place.root
    signals = [] if run.durable is None else signals_of(broker, row.id, root)
    return Branch(
        id=row.id,
        task=run.task,
        state=state_of(row, broker.clock.now()),
        version=durable.version,
        created_at=row.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        waits_for=_waits_for(row, checkpoints),
        error=shown_error(run.error),
        signals=[name for name, _, _ in signals],
        steps=[_leaf(broker, life_of(row.id, durable), step) for step in checkpoints],
    )


def _leaf(broker: Broker, life: str, step: Checkpoint) -> Leaf:
    rows: dict[str, Row] = {}
    if step.kind == "runs":
        ids = ids_of(life, step.step, range(min(step.size, MOST_CHILDREN)), step.alone)
        found = load(broker, ids)
        rows = {id: found[id] for id in ids if id in found}
    return Leaf(
        id=step.step,
        kind=step.kind,
        state=_state(step, broker.clock.now()),
        time=step.time,
        took=step.took,
        attempts=step.attempts,
        until=step.until,
        result=None if step.kind == "runs" else _value(step.result),
        error=shown_error(step.error),
        size=step.size,
        runs=[_branch(broker, row) for row in rows.values()],
    )


def _value(result: msgspec.Raw) -> Any:
    """What a step returned; of what is nested too deep, its JSON as text."""
    raw = shown_raw(result)
    try:
        return read_any(raw)
    except DecodeError:
        return bytes(raw).decode()


def _state(step: Checkpoint, now: float) -> str:
    over = step.kind == "sleep" and step.until is not None and step.until <= now
    return "done" if over else step.state


def _waits_for(row: Row, steps: list[Checkpoint]) -> str | None:
    if row.state != "suspended":
        return None
    said = []
    for step in steps:
        until = "" if step.until is None else f" until {rfc3339(step.until)[:19]}Z"
        if step.state == "waiting" and step.kind == "sleep":
            said.append(f"its sleep{until}")
        elif step.state == "waiting" and step.kind == "wait":
            said.append(f"the signal {step.step.partition(':')[2]!r}{until}")
        elif step.state == "waiting" and step.kind == "runs":
            said.append(f"{step.size} child runs" if step.size != 1 else "a child run")
        elif step.state == "retrying":
            said.append(f"step {step.step!r}, which failed {step.attempts} times")
    return said[-1] if said else None
