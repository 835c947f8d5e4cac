"""The end of an attempt as one change: result, key, what it sent, and the acknowledgement."""

import json
from hashlib import blake2s

import msgspec

from taskflow.broker import Broker, Finish
from taskflow.broker.change import (
    Add,
    Bury,
    Change,
    Free,
    Hide,
    Publish,
    Put,
    Remove,
    Send,
    Settlement,
    Take,
)
from taskflow.engine import Ended
from taskflow.errors import BrokerError, LimitExceeded, VersionConflict, WorkflowError
from taskflow.limits import is_fifo
from taskflow.outgoing import place_of_work
from taskflow.retry import Dead, Done, Outcome, Retry, describe
from taskflow.tasks.call_options import Checked
from taskflow.tasks.canvas.conducting import conduct
from taskflow.tasks.canvas.following import Following, sweep_life
from taskflow.tasks.durable import STEP, Suspended, life_of
from taskflow.tasks.preparing import Target, prepare, put_run, run_message
from taskflow.tasks.run import FINAL, NULL, RUN, Row, Run, RunError, State
from taskflow.tasks.task_entry import TaskEntry
from taskflow.tasks.work import Work

OVERDUE = 60.0
"""Seconds after which a run that was to go on by a delayed message is sent once more, if it has
not: a purge may have taken that."""


def settlement(
    broker: Broker, ended: Ended, work: Work, refused: BrokerError | None
) -> Change | None:
    """The change that ends an attempt; None when the broker's verb for the outcome is enough.

    `refused` is why the one before was: what cannot be stored at all ends the run as failed.
    """
    outcome, row = ended.outcome, work.row
    if isinstance(refused, LimitExceeded) and not isinstance(outcome, Dead):
        outcome = Dead(f"what it returned or sent cannot be stored: {refused}", refused)
    if isinstance(refused, VersionConflict) and _is_taken(refused, row, outcome):
        why = f"it calls run {refused.key!r}, and there is another run of that id"
        outcome = Dead(why, WorkflowError(why))
    settling = _Settling(broker, ended, work)
    if row is not None and work.is_group and row.state not in FINAL:
        return settling.conducted(row)
    if row is not None and row.state in FINAL and not _lives_again(row, outcome):
        return settling.change(Finish(ended.delivery, ended.found.window))
    waits = isinstance(outcome, Done) and isinstance(outcome.value, Suspended)
    if (waits or not isinstance(outcome, Done)) and (work.cancelled or (row and row.run.stop)):
        outcome = Done(skipped="cancelled")
    match outcome:
        case Done(value=Suspended() as how):
            return settling.suspended(how)
        case Done(skipped=str(why)):
            return settling.skipped("expired" if why == "expired" else "cancelled")
        case Done():
            return settling.done(outcome)
        case Retry():
            return settling.retried(outcome)
        case Dead():
            return settling.dead(outcome)


def _is_taken(refused: VersionConflict, row: Row | None, outcome: Outcome) -> bool:
    """Whether a run that is to wait for others calls one of an id that is somebody's."""
    waits = isinstance(outcome, Done) and isinstance(outcome.value, Suspended)
    new = refused.kind == RUN and refused.expected == 0
    return waits and new and row is not None and refused.key != row.id


def _lives_again(row: Row, outcome: Outcome) -> bool:
    """A failed run whose message was redriven from the dead letters."""
    return row.state == "failed" and not (isinstance(outcome, Done) and outcome.duplicate)


class _Settling:
    """Puts one change together."""

    def __init__(self, broker: Broker, ended: Ended, work: Work) -> None:
        self._broker = broker
        self._ended = ended
        self._work = work
        entry = ended.found.entry
        self._entry = entry if isinstance(entry, TaskEntry) else None
        self._records: list[Put | Remove] = []
        self._keys: list[Take | Free] = []
        self._counters: list[Add] = []
        self._sends: list[Send | Publish] = []

    def skipped(self, state: State) -> Change | None:
        """It was not run, or what it did counts for nothing."""
        if self._work.row is not None:
            self._end(self._work.row, self._work.row.run, state)
        return self._change_or_none(Finish(self._ended.delivery, self._ended.found.window))

    def done(self, outcome: Done) -> Change | None:
        """It succeeded: what it sent is sent."""
        work, value = self._work, outcome.value
        if (out := work.outgoing) is not None:
            self._sends += out.sends
            self._records += out.records
            self._counters += out.counters
        if work.row is not None:
            result = NULL if value is None else msgspec.Raw(value)
            run = msgspec.structs.replace(self._attempted(work.row), result=result, error=None)
            self._end(work.row, run, "done")
        if self._entry is not None and (follows := self._entry.on_success) is not None:
            self._call(follows.target, value or b"null")
        return self._change_or_none(Finish(self._ended.delivery, self._ended.found.window))

    def suspended(self, how: Suspended) -> Change:
        """It waits: what wakes it is known, and its message goes."""
        row, out = self._work.row, self._work.outgoing
        assert row is not None
        assert row.run.durable is not None
        if out is not None:
            self._sends += out.sends
            self._records += out.records
            self._counters += out.counters
        durable = msgspec.structs.replace(row.run.durable, awaits=how.awaits)
        run = msgspec.structs.replace(
            self._attempted(row),
            generation=row.run.generation + 1,
            durable=durable,
            error=None,
            started_at=row.run.started_at or self._ended.at,
        )
        if how.anew is not None:
            args, kwargs = (msgspec.Raw(one) for one in how.anew)
            self._records.append(sweep_life(life_of(row.id, durable), self._ended.at))
            durable = msgspec.structs.replace(durable, life=durable.life + 1)
            run = msgspec.structs.replace(run, args=args, kwargs=kwargs, durable=durable)
        nudged = durable.nudges != how.nudges  # it may wait for that: it looks again at once
        delay = 0.0 if nudged or how.anew is not None else how.delay
        due_at = how.due_at
        if delay and is_fifo(run.queue):  # whose messages have no delays of their own
            due_at, delay = self._ended.at + delay, None
        wake = run_message(row.id, run, delay or 0.0, self._broker.max_message_bytes)
        if delay is not None:  # a purge may take its message
            due_at = self._ended.at + delay + OVERDUE if delay else None
        self._records.append(put_run(row.id, run, "suspended", row.version, due_at=due_at))
        for key, count in how.counts.items():
            self._counters.append(Add(STEP, key, count, [Send(run.queue, [wake])]))
        if delay is not None:
            self._sends.append(Send(run.queue, [wake]))
        return self.change(Finish(self._ended.delivery, 0.0))

    def retried(self, outcome: Retry) -> Change | None:
        """It is tried again; what it sent is forgotten."""
        if (row := self._work.row) is not None:
            run = msgspec.structs.replace(self._attempted(row), error=error_of(outcome.error))
            self._records.append(put_run(row.id, run, "retrying", row.version, rings=True))
        return self._change_or_none(Hide(self._ended.delivery, outcome.after))

    def dead(self, outcome: Dead) -> Change | None:
        """It failed for good."""
        row, delivery = self._work.row, self._ended.delivery
        failure = RunError(type="", message=outcome.reason)
        if outcome.error is not None:
            failure = error_of(outcome.error)
        if row is not None:
            run = msgspec.structs.replace(self._attempted(row), error=failure)
            self._end(row, run, "failed")
        if self._entry is not None and (follows := self._entry.on_failure) is not None:
            told = {
                "task": self._entry.name,
                "id": delivery.id if row is None else row.id,
                "reason": outcome.reason,
                "error": failure.type,
                "message": failure.message,
            }
            self._call(follows.target, json.dumps(told).encode())
        record = self._ended.failure or json.dumps({"reason": outcome.reason})
        return self._change_or_none(Bury(delivery, record))

    def conducted(self, row: Row) -> Change:
        """A group begins, or ends."""
        following = conduct(self._broker, row, self._ended.at)
        self._add(following)
        return self.change(Finish(self._ended.delivery, self._ended.found.window))

    def change(self, settlement: Settlement) -> Change:
        """All that was put together, and this."""
        ended, row = self._ended, self._work.row
        id = None
        if not self._broker.features.atomic:  # then it may happen in part, and is repeated
            what = ended.delivery.id if row is None else f"{row.id}~{row.run.generation}"
            id = f"end/{what}/{_lent(ended.delivery.receipt)}"
        return Change(
            id=id,
            fence=ended.delivery,
            keys=self._keys,
            records=self._records,
            counters=self._counters,
            sends=self._sends,
            settlements=[settlement],
        )

    def _change_or_none(self, settlement: Settlement) -> Change | None:
        if self._records or self._keys or self._sends:
            return self.change(settlement)
        return None

    def _attempted(self, row: Row) -> Run:
        attempts = self._ended.delivery.receive_count
        return msgspec.structs.replace(row.run, attempts=attempts)

    def _end(self, row: Row, run: Run, state: State) -> None:
        following = Following(self._broker, self._ended.at)
        following.end(row, run, state)
        self._add(following)
        if self._work.progress is not None and (last := self._work.progress.unsaid()) is not None:
            self._records.append(last)

    def _add(self, following: Following) -> None:
        self._records += following.records
        self._keys += following.keys
        self._counters += following.counters
        self._sends += following.sends

    def _trace(self) -> str | None:
        """What follows belongs to the trace of what it follows."""
        row, trace = self._work.row, self._ended.delivery.trace
        return row.run.trace if trace is None and row is not None else trace

    def _call(self, target: Target, argument: bytes) -> None:
        broker = self._broker
        call = prepare(
            target,
            b"[%s]" % argument,
            b"{}",
            Checked(priority=target.defaults.priority),
            self._ended.at,
            broker.random,
            broker.max_message_bytes,
            place=place_of_work(self._ended.delivery),
            trace=self._trace(),
        ).change()
        self._keys += call.keys
        self._records += call.records
        self._sends += call.sends


def _lent(receipt: str) -> str:
    """A name for one lease of a message: how often it was begun is counted anew when it comes back
    from the dead letters."""
    return blake2s(receipt.encode(), digest_size=16).hexdigest()


def error_of(error: BaseException) -> RunError:
    """An exception as it is kept: text, whatever it is made of."""
    found = describe(error)
    return RunError(type=found["error"], message=found["message"], traceback=found["traceback"])
