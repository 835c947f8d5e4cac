"""A new run that begins where another one was before one of its steps."""

import msgspec

from taskflow.broker import Broker
from taskflow.broker.change import Change, Put, Send, Take
from taskflow.errors import KeyTaken, RunExists, VersionConflict, WorkflowError
from taskflow.limits import check_id
from taskflow.message import new_id
from taskflow.tasks.canvas.links import Place
from taskflow.tasks.child_ids import ids_of
from taskflow.tasks.durable import STEP, Durable, life_of
from taskflow.tasks.preparing import put_run, run_message
from taskflow.tasks.run import FINAL, NULL, RUN, Row, load
from taskflow.workflows.checkpoint import Checkpoint, write_checkpoint
from taskflow.workflows.kept_steps import load_steps
from taskflow.workflows.run_lookup import find_run

PAGE = 500


def fork_run(
    broker: Broker, run_id: str, from_step: str | None = None, *, id: str | None = None
) -> str:
    """Begin a new run, `id` if that is given, with the arguments of another one, which stays as it
    is, and with what that has kept of its steps before `from_step` (None: of all that were done),
    child runs included; answers its id. It has the other's key if nobody has that. Raises NoResult
    when there is no such run, WorkflowError for one that is no workflow or has no such step,
    RunExists for an id that is taken, LimitExceeded for one that cannot be, BrokerUnavailable."""
    row = find_run(broker, run_id)
    durable = row.run.durable or Durable()
    steps = sorted(
        (step for step, _ in load_steps(broker, run_id, durable)), key=lambda one: one.at
    )
    if from_step is not None:
        steps = _before(run_id, steps, from_step)
    made = new_id(broker.clock.now(), broker.random) if id is None else check_id(id)
    records: list[Put] = []
    for step in steps:
        records += _copies(broker, row, made, step)
    find_run(broker, run_id)  # else it left while its steps were read, and they with it
    run = msgspec.structs.replace(
        row.run,
        generation=2,  # of one in its first it is known that it has no steps
        first_at=None,
        expires_at=None,
        tick=None,
        starts_at=None,
        attempts=0,
        started_at=None,
        finished_at=None,
        result=NULL,
        error=None,
        stop=False,
        place=Place(root=made),
        durable=msgspec.structs.replace(durable, life=0, awaits=(), nudges=0),
    )
    sends = [Send(run.queue, [run_message(made, run, 0.0, broker.max_message_bytes)])]
    key = run.key
    while True:
        run = msgspec.structs.replace(run, key=key)
        change = Change(
            keys=[] if key is None else [Take(key, made)],
            records=[put_run(made, run, "waiting", 0), *records],
            sends=sends,
        )
        refused = broker.apply([change])[0].refused
        if refused is None:
            return made
        if isinstance(refused, KeyTaken):
            key = None
        elif isinstance(refused, VersionConflict) and (refused.kind, refused.key) == (RUN, made):
            raise RunExists(made, "the id of a fork is a new one")
        else:
            raise refused


def _before(run: str, steps: list[Checkpoint], name: str) -> list[Checkpoint]:
    for at, step in enumerate(steps):
        if step.step == name:
            return steps[:at]
    known = ", ".join(step.step for step in steps)
    raise WorkflowError(
        f"run {run!r} has kept no step {name!r}; {f'it has {known}' if known else 'it has none'}"
    )


def _copies(broker: Broker, row: Row, made: str, step: Checkpoint) -> list[Put]:
    """What a fork has of a step: nothing of one that is not over, which it begins itself."""
    copy = Put(
        kind=STEP,
        key=f"{made}/{step.step}",
        value=write_checkpoint(step).decode(),
        expected=0,
        parent=made,
        label=made,
    )
    if step.kind != "runs":
        kept = step.over or step.kind == "sleep" or step.state == "started"
        return [copy] if kept else []
    if not step.over:
        return []
    life = life_of(row.id, row.run.durable or Durable())
    numbers = range(step.size)
    before, after = (ids_of(one, step.step, numbers, step.alone) for one in (life, made))
    found: list[Put] = [copy]
    for start in range(0, step.size, PAGE):
        rows = load(broker, before[start : start + PAGE])
        for old, new in zip(before[start : start + PAGE], after[start:], strict=False):
            child = rows.get(old)
            if child is None or child.state not in FINAL:
                return []
            run = msgspec.structs.replace(child.run, key=None, place=Place(root=made, depth=1))
            found.append(put_run(new, run, child.state, 0))
    return found
