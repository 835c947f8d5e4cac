"""A failed run goes on from where it failed; what it has done stays done."""

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from taskflow.broker import Broker
from taskflow.broker.change import Add, Change, Put, Remove, Send, Take
from taskflow.errors import BrokerError, VersionConflict, WorkflowError
from taskflow.message import Message
from taskflow.tasks.canvas.following import kept_parts
from taskflow.tasks.canvas.links import Up
from taskflow.tasks.child_ids import ids_of
from taskflow.tasks.durable import STEP, life_of
from taskflow.tasks.preparing import message_id, put_run, run_message
from taskflow.tasks.run import FINAL, NULL, Row, Run, State, load
from taskflow.workflows.checkpoint import Checkpoint, write_checkpoint
from taskflow.workflows.kept_steps import load_steps
from taskflow.workflows.run_lookup import find_run

PAGE = 500


def retry_run(broker: Broker, id: str) -> None:
    """Let a failed run go on: its steps that failed are run again, its child runs that ended badly
    begin again (workflows among them go on likewise), and all that was done is answered from what
    is kept. Raises NoResult when there is no such run, WorkflowError for one that has not failed,
    is no workflow, or is part of a plan or of another run; KeyTaken when its key is another run's
    by now; BrokerUnavailable."""
    while True:
        row = find_run(broker, id)
        place = row.run.place
        if place is not None and place.root != id:
            raise WorkflowError(f"run {id!r} is a part of run {place.root!r}; retry that")
        if row.state != "failed":
            raise WorkflowError(f"run {id!r} has not failed; it is {row.state}")
        revival = _Revival(broker, id)
        revival.revive(row, None)
        refused = broker.apply([revival.change(row)])[0].refused
        if refused is None:
            _forget(broker, revival.letters)
            return
        if not isinstance(refused, VersionConflict):
            raise refused


class _Revival:
    """Puts together what lets a run go on, with those that it waits for."""

    def __init__(self, broker: Broker, root: str) -> None:
        self._broker = broker
        self._root = root
        self._records: list[Put | Remove] = []
        self._counters: list[Add] = []
        self._messages: dict[str, list[Message]] = {}
        self.letters: list[tuple[str, str]] = []
        """The dead letters of those that live again: queue and id."""

    def revive(self, row: Row, up: Up | None) -> None:
        """A run that has ended, and is to end well; a child counts as `up` says."""
        run, waits = _anew(row.run, up), False
        run = msgspec.structs.replace(run, generation=run.generation + 1)
        if run.durable is not None:
            life = life_of(row.id, run.durable)
            for step, version in load_steps(self._broker, row.id, run.durable):
                if step.kind == "runs":
                    waits |= self._revive_children(life, row, step, version)
                elif step.state == "failed":
                    self._records.append(Remove(STEP, f"{life}/{step.step}", version))
        state: State = "suspended" if waits else "waiting"
        self._records.append(put_run(row.id, run, state, row.version, rings=True))
        if not waits:
            message = run_message(row.id, run, 0.0, self._broker.max_message_bytes)
            self._messages.setdefault(run.queue, []).append(message)
        if row.state == "failed":
            self.letters.append((run.queue, message_id(row.id, row.run.generation)))

    def change(self, row: Row) -> Change:
        """All of it, for the run at the root."""
        return Change(
            id=f"retry/{row.id}/{row.run.generation}/{row.version}",
            keys=[] if row.run.key is None else [Take(row.run.key, row.id)],
            records=[*self._records, *kept_parts(row)],
            counters=self._counters,
            sends=[Send(queue, some) for queue, some in self._messages.items()],
        )

    def _revive_children(self, life: str, row: Row, step: Checkpoint, version: int) -> bool:
        """Those of a step that ended badly; whether the run is to wait for them."""
        if step.state == "done":
            return False
        ids = ids_of(life, step.step, range(step.size), step.alone)
        rows: list[Row] = []
        for start in range(0, len(ids), PAGE):
            rows += load(self._broker, ids[start : start + PAGE]).values()
        ups = {one.id: one.run.place.up for one in rows if one.run.place and one.run.place.up}
        bad = [one for one in rows if one.state in FINAL and one.state != "done"]
        if not bad or not all(ups[one.id].stops for one in bad):  # it wants to see how they ended
            return False
        live = [one for one in rows if one.state not in FINAL]
        if told := [one for one in live if one.run.stop]:
            raise WorkflowError(
                f"run {told[0].id!r}, which run {row.id!r} has called, was told to stop and has "
                "not stopped yet; retry when it has"
            )
        starters = {up.starts.id: one for one in rows if (up := ups[one.id]).starts is not None}
        for one in bad:
            up = msgspec.structs.replace(ups[one.id], generation=row.run.generation + 1)
            starter = starters.get(one.id)
            if starter is None or starter.state == "done":
                self.revive(one, up)
            else:  # it was never begun (`limit=`), and that one begins it
                run = _anew(one.run, up)
                self._records.append(put_run(one.id, run, "suspended", one.version, rings=True))
        key = f"{life}/{step.step}"
        value = write_checkpoint(msgspec.structs.replace(step, state="waiting")).decode()
        put = Put(kind=STEP, key=key, value=value, expected=version, parent=self._root, label=life)
        self._records.append(put)
        count = self._broker.records(STEP, [key])[key].count
        self._counters.append(Add(STEP, key, len(bad) + len(live) - count))
        return True


def _anew(run: Run, up: Up | None) -> Run:
    """A run that has ended, as one that has not."""
    durable, place = run.durable, run.place
    if durable is not None:
        durable = msgspec.structs.replace(durable, awaits=())
    if place is not None and up is not None:
        place = msgspec.structs.replace(place, up=up)
    return msgspec.structs.replace(
        run,
        attempts=0,
        finished_at=None,
        expires_at=None,
        result=NULL,
        stop=False,
        place=place,
        durable=durable,
    )


def _forget(broker: Broker, letters: Sequence[tuple[str, str]]) -> None:
    """Remove dead letters, by queue and id, where the broker finds them by that; one that stays,
    and is redriven, is stale, and does nothing."""
    if not broker.features.atomic:
        return
    with suppress(BrokerError):
        for queue, id in letters:
            if (dead := broker.settings(queue).dead_letter_queue) is not None:
                broker.purge(dead, [id])
