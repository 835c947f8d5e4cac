"""What the context of both kinds of workflows is made of: what a run may do beside its steps."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn
from uuid import UUID

import msgspec

from taskflow import payload as json
from taskflow.broker.change import Remove
from taskflow.clock import Instant, epoch_seconds
from taskflow.durations import Duration, seconds_of
from taskflow.errors import WorkflowError
from taskflow.tasks.canvas.call import Call
from taskflow.tasks.canvas.conducting import stop_all
from taskflow.tasks.child_ids import ids_of
from taskflow.tasks.durable import SIGNAL, Suspended
from taskflow.tasks.endings import ended_badly
from taskflow.tasks.run import FINAL, NULL, Row, load
from taskflow.tasks.task import TaskBase
from taskflow.workflows.checkpoint import Checkpoint
from taskflow.workflows.child_end import ChildEnd, end_of, read_ends, write_ends
from taskflow.workflows.children import start_children
from taskflow.workflows.journal import Journal
from taskflow.workflows.signals import check_name, next_signal
from taskflow.workflows.step_run import wait_for

PAGE = 500


class Steering:
    """Waits, values and child runs of one attempt; each call blocks for as long as a look at the
    broker takes, and raises Leaving where the run is to wait."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._taken: set[str] = set()

    # ---- time and signals ---------------------------------------------------------------------
    def sleep(self, duration: Duration) -> None:
        """Wait for so long."""
        self._sleep("sleep", lambda now: now + seconds_of("sleep", duration))

    def sleep_until(self, moment: Instant) -> None:
        """Wait until then."""
        until = epoch_seconds("sleep_until", moment)
        self._sleep("sleep", lambda now: until)

    def _sleep(self, name: str, until_of: Callable[[float], float]) -> None:
        journal = self.journal
        step, at, found = journal.enter(name)
        now = journal.broker.clock.now()
        if found is None:
            until = until_of(now)
            journal.note(Checkpoint(step=step, at=at, kind="sleep", state="waiting", until=until))
        else:
            journal.drift.compare(found, at, "", "")
            until = found.until or now
        if until > now:
            raise journal.leave(wait_for(journal, until - now))

    def wait(self, name: str, timeout: Duration | None, wanted: Any) -> Any:
        """Wait for a signal."""
        check_name(name)
        journal = self.journal
        step, at, found = journal.enter(f"wait:{name}")
        if found is not None:
            journal.drift.compare(found, at, "", "")
            if found.over:
                return json.decoder(wanted)(found.result) if found.size else None
        now = journal.broker.clock.now()
        until = None if timeout is None else now + seconds_of("timeout", timeout)
        if found is not None:
            until = found.until
        waiting = Checkpoint(step=step, at=at, kind="wait", state="waiting", until=until)
        signal = next_signal(journal.broker, journal.run, name, self._taken)
        if signal is not None:
            record, payload = signal
            self._taken.add(record.key)
            journal.note(msgspec.structs.replace(waiting, state="done", result=payload, size=1))
            journal.remove(Remove(SIGNAL, record.key, record.version))
            return json.decoder(wanted)(payload)
        if until is not None and until <= now:
            journal.note(msgspec.structs.replace(waiting, state="done"), vital=True)
            return None
        if found is None:
            journal.note(waiting)
        raise journal.leave(Suspended(due_at=until, awaits=(name,)))

    # ---- values -------------------------------------------------------------------------------
    def now(self) -> float:
        """The time."""
        return float(self._value("now", self.journal.broker.clock.now))

    def uuid(self) -> UUID:
        """A random id."""
        bits = self.journal.broker.random.getrandbits
        return UUID(self._value("uuid", lambda: str(UUID(int=bits(128), version=4))))

    def random(self) -> float:
        """A random number."""
        return float(self._value("random", self.journal.broker.random.random))

    def _value(self, name: str, make: Callable[[], Any]) -> Any:
        journal = self.journal
        step, at, found = journal.enter(name)
        if found is not None:
            journal.drift.compare(found, at, "", "")
            return msgspec.json.decode(found.result)
        value = make()
        result = msgspec.Raw(msgspec.json.encode(value))
        journal.note(Checkpoint(step=step, at=at, kind="value", result=result), vital=True)
        return value

    def patched(self, name: str) -> bool:
        """Whether the run goes the new way."""
        journal = self.journal
        step, at, found = journal.enter(f"patched:{name}")
        if found is not None:
            return True
        if journal.replays():
            journal.pass_by()
            return False
        journal.note(Checkpoint(step=step, at=at, kind="value", result=msgspec.Raw(b"true")))
        return True

    def restart(self, args: Sequence[Any], kwargs: dict[str, Any]) -> NoReturn:
        """Begin anew."""
        given = json.encode_arguments(args, kwargs)
        raise self.journal.leave(Suspended(anew=given))

    # ---- runs ---------------------------------------------------------------------------------
    def runs(
        self,
        name: str,
        calls: Sequence[Call],
        *,
        alone: bool = False,
        errors: str = "stop",
        limit: int | None = None,
    ) -> list[ChildEnd]:
        """How the runs of these calls ended; with errors="stop" all are done. Raises
        RunFailed, RunCancelled or RunExpired as the first did that was not."""
        journal = self.journal
        step, at, found = journal.enter(name)
        function = ", ".join(dict.fromkeys(call.target.name for call in calls))
        key = f"{journal.life}/{step}"
        if found is None:
            note = Checkpoint(
                step=step,
                at=at,
                kind="runs",
                state="waiting",
                function=function,
                size=len(calls),
                alone=alone,
            )
            if not calls:
                journal.note(msgspec.structs.replace(note, state="done"))
                return []
            records, sends = start_children(
                journal,
                step,
                calls,
                counts=key,
                alone=alone,
                stops=errors == "stop",
                limit=limit,
            )
            journal.note(note)
            journal.outgoing.records += records
            journal.outgoing.sends += sends
            raise journal.leave(Suspended(counts={key: len(calls)}))
        journal.drift.compare(found, at, function, "")
        if found.state == "done" and found.result != NULL:
            ends = read_ends(found.result)
            if errors == "collect" or all(one.state == "done" for one in ends):
                return ends
        rows = self._rows(ids_of(journal.life, step, range(found.size), found.alone))
        pending = [row for row in rows if row.state not in FINAL]
        bad = [row for row in rows if row.state in FINAL and row.state != "done"]
        if errors == "stop" and bad:
            stop_all(journal.broker, pending, journal.broker.clock.now())
            if not found.over:
                journal.note(msgspec.structs.replace(found, state="failed", at=at))
            raise ended_badly(bad[0])
        if pending:
            raise journal.leave(Suspended(counts={key: 0}))
        ends = [end_of(row) for row in rows]
        if not found.over:
            done = msgspec.structs.replace(found, state="done", at=at, result=write_ends(ends))
            journal.note(done)
        return ends

    def _rows(self, ids: list[str]) -> list[Row]:
        found: dict[str, Row] = {}
        for start in range(0, len(ids), PAGE):
            found |= load(self.journal.broker, ids[start : start + PAGE])
        if missing := [id for id in ids if id not in found]:
            raise WorkflowError(f"child run {missing[0]!r} is not there any more: was it removed?")
        return [found[id] for id in ids]


def calls_of(task: Any, many: Iterable[tuple[Any, ...]]) -> list[Call]:
    """Calls of a task. Raises TypeError for what is none."""
    if not isinstance(task, TaskBase):
        raise TypeError(
            f"{task!r} is no task; child runs are runs of tasks and workflows, and a function is a "
            "step: ctx.step(function, …), ctx.gather((function, …), …)"
        )
    for args in many:
        task.parameters.check(task.name, args, {})
    return [task.s(*args) for args in many]
