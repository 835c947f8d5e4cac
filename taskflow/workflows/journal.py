"""The steps that a run has taken, while it is executed: what was kept is not done again."""

import logging
import threading
from asyncio import Future
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from taskflow import forking
from taskflow.broker import Broker
from taskflow.broker.change import Applied, Change, Put, Remove
from taskflow.errors import BrokerError, LeaseLost, StepFailed, VersionConflict, WorkflowError
from taskflow.message import new_id
from taskflow.tasks.durable import STEP, Leaving, Suspended, life_of
from taskflow.tasks.preparing import put_run
from taskflow.tasks.run import FINAL, RUN, Row, as_durable, load
from taskflow.tasks.work import Work
from taskflow.uninterrupted import uninterrupted
from taskflow.workflows.checkpoint import Checkpoint, write_checkpoint
from taskflow.workflows.drift import Drift
from taskflow.workflows.group_commit import group_of
from taskflow.workflows.interrupted import Interrupted
from taskflow.workflows.kept_steps import is_fresh, load_steps
from taskflow.workflows.step_outgoing import JournalOutgoing

MANY, MOST = 10_000, 50_000
"""Steps of a run: from so many on it is warned, more than so many are refused."""

log = logging.getLogger("taskflow.workflows")


class Journal:
    """Of one attempt of one run. Thread-safe: steps may run side by side.

    What it is told is kept with the next `flush`, or with the end of the attempt, in one
    transaction with what was sent meanwhile.
    """

    def __init__(self, broker: Broker, work: Work, *, version: int, strict: bool) -> None:
        assert work.row is not None
        assert work.row.run.durable is not None
        self.broker = broker
        self.version = version
        self.lock: threading.RLock
        """Taken before the broker's own, by whoever wants both."""
        forking.anew(self, lock=threading.RLock)
        self.outgoing = JournalOutgoing(broker, journal=self)
        self.within = False
        """Whether it is inside of a transaction of the broker's."""
        self.left: Leaving | None = None
        """How the run leaves its function, once that is known."""
        self.fresh_failures: list[StepFailed] = []
        """Those that are not kept yet: the step is run again if the code does not go on."""
        self.busy: set[Future[None]] = set()
        """Steps of a coroutine that have not ended."""
        row, durable = work.row, work.row.run.durable
        self.run = row.id
        """The id of the run."""
        self.durable = durable
        """What the run keeps."""
        self.root = row.id if row.run.place is None else row.run.place.root
        """The run that its steps go with."""
        self.life = life_of(row.id, durable)
        """What tells this life of the run from others (`restart`): ids that are the same however
        often a step is run begin with it."""
        self.nudges = durable.nudges
        self.drift = Drift(row.id, durable.version, strict=strict)
        self._work = work
        self._begun = row.run
        self._flushing: Sequence[Put | Remove] = ()
        self._group = group_of(broker)
        self._atomic = broker.features.atomic
        self._known: dict[str, tuple[Checkpoint, int]] | None = None
        self._seen: Counter[str] = Counter()
        self._visited: set[str] = set()
        self._at = 0
        self._last_at = 0
        self._vital = False
        self._together = 0
        self._unkept: dict[str, str] = {}  # steps by the keys of their records
        self._broken: Interrupted | None = None
        self._fresh = is_fresh(work.row)

    @property
    def row(self) -> Row:
        """The run, as it was last seen."""
        assert self._work.row is not None
        return self._work.row

    # ---- reading ------------------------------------------------------------------------------
    def load(self) -> None:
        """Read the steps that are kept. Raises BrokerUnavailable."""
        self._steps()

    def enter(self, name: str) -> tuple[str, int, Checkpoint | None]:
        """The code comes to a step: its id and place, and what is kept of it. Raises Leaving and
        Interrupted again when the run has left its function, WorkflowError past MOST steps."""
        with self.lock:
            self.check()
            if self.left is not None and not self._together:
                raise self.left
            self._seen[name] += 1
            count = self._seen[name]
            step = name if count == 1 else f"{name}#{count}"
            self._visited.add(step)
            self._at += 1
            if self._at == MANY:
                log.warning("run %s has %d steps; `restart` begins it anew", self.run, MANY)
            if self._at > MOST:
                raise WorkflowError(
                    f"run {self.run!r} has {MOST} steps, as many as a run may have; a loop without "
                    "end goes on with ctx.restart(…), which begins with no steps"
                )
            found = self._steps().get(step)
            return step, self._at, None if found is None else found[0]

    def pass_by(self) -> None:
        """What was just entered is no step of this run."""
        with self.lock:
            self._at -= 1

    def replays(self) -> bool:
        """Whether the code is where it was before: steps are kept that come later."""
        with self.lock:
            self._steps()
            return self._at < self._last_at

    def unvisited(self) -> list[str]:
        """The steps that are kept, and that the code has not come to."""
        with self.lock:
            return [step for step in self._steps() if step not in self._visited]

    def _steps(self) -> dict[str, tuple[Checkpoint, int]]:
        if self._known is None:
            self._known = {}
            if not self._fresh:
                for checkpoint, version in load_steps(self.broker, self.run, self.durable):
                    self._known[checkpoint.step] = checkpoint, version
                    self._last_at = max(self._last_at, checkpoint.at)
        return self._known

    @contextmanager
    def side_by_side(self) -> Iterator[None]:
        """Steps begin here although another one is to wait."""
        self._together += 1
        try:
            yield
        finally:
            self._together -= 1

    # ---- writing ------------------------------------------------------------------------------
    def check(self) -> None:
        """Raise Interrupted when the attempt is over."""
        if self._broken is not None:
            raise self._broken
        if self._work.cancelled or self._work.delivery.lost:
            raise Interrupted

    def note(self, checkpoint: Checkpoint, *, vital: bool = False) -> None:
        """Keep a step. `vital`: nothing may be done outside before it is kept, since it would be
        another one the next time."""
        with self.lock:
            checkpoint = msgspec.structs.replace(
                checkpoint, time=self.broker.clock.now(), version=self.version
            )
            steps, step, out = self._steps(), checkpoint.step, self.outgoing
            version = steps[step][1] if step in steps else 0
            steps[step] = checkpoint, version
            key = f"{self.life}/{step}"
            if key in self._unkept:
                out.records = [one for one in out.records if one.key != key]
            self._unkept[key] = step
            out.records.append(
                Put(
                    kind=STEP,
                    key=key,
                    value=write_checkpoint(checkpoint).decode(),
                    expected=version,
                    parent=self.root,
                    label=self.life,
                )
            )
            self._vital |= vital

    def remove(self, remove: Remove) -> None:
        """Remove a record with the next step that is kept."""
        with self.lock:
            self.outgoing.records.append(remove)

    def may_run(self, step: str) -> None:
        """A step of which nothing is kept is about to be run. (In a sandbox it is not.)"""

    @property
    def owes(self) -> bool:
        """Whether something is to be kept before anything may happen outside: what that may depend
        on; and that the run runs, if there is something to clean up after it: a cancel that came
        meanwhile would end it at once, and what cleans up would be done before what it is for."""
        return self._vital or (self.durable.on_cancel is not None and self.row.state != "running")

    def settle_before_effect(self) -> None:
        """Something is about to happen outside: what is owed before it is kept."""
        with self.lock:
            if self.owes:
                self.flush()

    @uninterrupted
    def flush(self) -> None:
        """Keep all that was noted, on disk. Raises Interrupted when the lease is lost, the run is
        not wanted any more, or the broker refuses."""
        with self.lock:
            while (change := self.begin_flush()) is not None:
                try:
                    answer = self._apply(change)
                except BrokerError as error:
                    raise self.break_off(error) from error
                if self.flushed(answer):
                    return

    def begin_flush(self) -> Change | None:
        """The change that keeps all that was noted, to be made with the lock held; None when there
        is nothing. Raises Interrupted when the attempt is over."""
        self.check()
        out, row = self.outgoing, self.row
        begun = row.state == "running"
        if begun and not out:
            return None
        records = out.records
        if not begun:  # from now on a cancel tells it, and does not end it
            run = row.run
            if run.started_at is None:
                run = msgspec.structs.replace(run, started_at=self.broker.clock.now())
            self._begun = run
            records = [*records, put_run(row.id, run, "running", row.version)]
        self._flushing = records
        return Change(
            id=None if self._atomic else self._new_id(),
            fence=self._work.delivery,
            records=records,
            counters=out.counters,
            sends=out.sends,
        )

    def flushed(self, answer: Applied) -> bool:
        """What became of that change; False: it is to be begun again, since the run has changed
        meanwhile. Raises Interrupted as `flush`."""
        if answer.refused is not None:
            self._refused(answer.refused)
            return False
        steps, unkept = self._steps(), self._unkept
        for record, version in zip(self._flushing, answer.versions, strict=True):
            if record.kind == STEP and (step := unkept.get(record.key)) is not None:
                steps[step] = steps[step][0], version
            elif record.kind == RUN and record.key == self.run:
                self._work.row = Row(self.run, "running", version, self._begun, self.row.created_at)
        self.outgoing.clear()
        self._unkept.clear()
        self.fresh_failures.clear()
        self._vital = False
        return True

    def _new_id(self) -> str:
        """Of a change: another each time, since one under the id of another is taken for that."""
        return new_id(self.broker.clock.now(), self.broker.random)

    def _refused(self, refused: BrokerError) -> None:
        if isinstance(refused, LeaseLost):
            self._work.delivery.lost = True
            raise Interrupted
        if isinstance(refused, VersionConflict) and refused.kind == RUN and refused.key == self.run:
            row = load(self.broker, [self.run]).get(self.run)
            if row is None or row.state in FINAL or row.run.stop:
                self._work.cancelled = True
                raise Interrupted
            self._work.row = as_durable(row, self.durable)
            return
        raise self.break_off(refused) from refused

    def _apply(self, change: Change) -> Applied:
        if self.within:  # a transaction of its own, which nobody else's is part of
            return self.broker.apply([change])[0]
        return self._group.apply(self.broker, change)

    def break_off(self, error: Exception) -> Interrupted:
        """Nothing can be kept any more by this attempt, since this happened; to be raised."""
        self._broken = Interrupted(f"a step of run {self.run!r} cannot be kept: {error}")
        return self._broken

    def leave(self, how: Suspended) -> Leaving:
        """The run is to wait so, for that or for what it waits for already: what to raise."""
        with self.lock:
            if self.left is None:
                how.nudges = self.nudges
                self.left = Leaving(how)
            else:
                self.left.how = self.left.how.or_else(how, self.broker.clock.now())
            return self.left
