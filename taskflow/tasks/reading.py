"""Who the message of a task is for, and whether it may run: before anything does."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from taskflow.broker import Broker
from taskflow.broker.change import Change, Take
from taskflow.engine import Found
from taskflow.errors import DecodeError, NoHandler, Reject
from taskflow.message import Delivery
from taskflow.retry import Done
from taskflow.tasks.cancelling import ANY_CANCELLED, CANCEL
from taskflow.tasks.canvas.conducting import value_of
from taskflow.tasks.canvas.reviving import Revival, lies_still, revive
from taskflow.tasks.made_runs import make_runs
from taskflow.tasks.nudging import nudge
from taskflow.tasks.plain_messages import find_plain
from taskflow.tasks.preparing import message_id, put_run
from taskflow.tasks.run import FINAL, RUN, Row, as_durable, row_of
from taskflow.tasks.task_body import TaskBody, read_body
from taskflow.tasks.task_entry import TaskEntry
from taskflow.tasks.task_table import TaskTable
from taskflow.tasks.work import Work


class Reader:
    """Reads messages, and the runs that they name. Thread-safe."""

    def __init__(self, tasks: TaskTable) -> None:
        self._tasks = tasks
        self._looks: WeakKeyDictionary[Broker, tuple[float, bool]] = WeakKeyDictionary()
        """When it was looked whether any call was cancelled, and whether there was one."""

    def find(self, broker: Broker | None, deliveries: Sequence[Delivery]) -> list[Found]:
        """The task of each message, and its run if it has one."""
        bodies: list[TaskBody | DecodeError] = []
        runs: dict[str, None] = {}
        wanted: list[tuple[Delivery, TaskBody]] = []
        for delivery in deliveries:
            try:
                body = read_body(delivery)
            except DecodeError as error:
                bodies.append(error)
                continue
            bodies.append(body)
            if body.run:
                runs[body.run] = None
            if (body.result is not None or self._tasks.any_durable) and self._wants_run(
                delivery, body
            ):
                wanted.append((delivery, body))
        rows, unread = ({}, {}) if broker is None or not runs else _load(broker, runs)
        made = {} if broker is None or not wanted else make_runs(broker, self._tasks, wanted)
        taken, over = ({}, set()) if broker is None else _in_plans(broker, rows, unread)
        gone = self._cancelled(broker, deliveries)
        found, tasks, maybe_plain = list[Found](), self._tasks, not (made or gone)
        for delivery, read in zip(deliveries, bodies, strict=True):
            if isinstance(read, DecodeError):
                found.append(Found(None, refusal=read, work=None))
                continue
            body = read
            row = None if body.run is None else rows.get(body.run)
            if maybe_plain and (plain := find_plain(tasks, delivery, body, row)) is not None:
                found.append(plain)
                continue
            work = Work(delivery, body.task or "", body)
            if body.run is None and not made:
                found.append(self._begins(delivery, work, broker, delivery.id in gone))
                continue
            id = body.run or ""
            if id in unread:
                found.append(Found(None, refusal=DecodeError(unread[id]), work=None))
                continue
            work.row, work.taken = row, taken.get(id)
            if isinstance(one := made.get((delivery.queue, delivery.id)), Row):
                work.row = one
            elif one is not None:
                found.append(Found(None, refusal=one, work=work))
                continue
            ended = delivery.id in gone or id in over
            found.append(self._judge(delivery, work, broker, ended))
        return found

    def _judge(
        self, delivery: Delivery, work: Work, broker: Broker | None, cancelled: bool
    ) -> Found:
        body, row = work.body, work.row
        if broker is not None and row is not None and _is_nudge(delivery, body, row):
            nudge(broker, row.id)
            work.row = None
            return Found(None, decided=Done(duplicate=True), work=work)
        if body.run is not None:
            if (why := _mismatch(delivery, work, broker)) is not None:
                work.row = None
                return Found(None, refusal=Reject(why), work=work)
            assert row is not None
            work.task = row.run.task
        if row is not None:
            if row.state in FINAL and row.state != "failed":  # a failed one comes from its DLQ
                skipped = "cancelled" if row.state == "cancelled" else None
                return Found(None, decided=Done(duplicate=True, skipped=skipped), work=work)
            if row.state == "failed" and broker is not None and not work.is_group:
                if _is_left_over(broker, delivery, row):
                    work.row = None
                    why = "" if row.run.error is None else f": {row.run.error.message}"
                    return Found(None, refusal=Reject(f"its run has failed{why}"), work=work)
                if lies_still(broker, delivery):
                    return Found(None, decided=Done(duplicate=True), work=work)
                revival = self._live_again(broker, work, row)
                if isinstance(revival, Reject):
                    work.row = None
                    return Found(None, refusal=revival, work=work)
                row = work.row
                cancelled = revival.cancelled or (cancelled and not revival.goes_on)
                assert row is not None
            if work.is_group:
                over = row.state in FINAL
                return Found(None, decided=Done(duplicate=over), work=work)
        return self._begins(delivery, work, broker, cancelled)

    def _begins(
        self, delivery: Delivery, work: Work, broker: Broker | None, cancelled: bool
    ) -> Found:
        """Who runs a call, or its run; whether it is too late for that."""
        row = work.row
        entry = self._tasks.get(delivery.queue, work.task)
        found = Found(entry, None if entry is None else entry.policy, work=work)
        if entry is None:
            found.refusal = NoHandler(
                f"no task {work.task!r} on queue {delivery.queue!r}; is the module that defines it "
                "loaded?"
            )
        elif row is None:
            found.window = entry.window
        elif entry.durable is not None:
            work.row = row = as_durable(row, entry.durable)
            found.refusal = _too_new(row, entry)
        expires_at = work.body.expires if row is None else row.run.expires_at
        if row is not None and row.run.durable is not None and row.run.started_at is not None:
            expires_at = None  # it has begun, and waits
        if cancelled or (row is not None and row.run.stop):
            found.decided = Done(skipped="cancelled")
        elif expires_at is not None and broker is not None and expires_at <= broker.clock.now():
            found.decided = Done(skipped="expired")
        elif delivery.slot is None and entry is not None and entry.flow is not None:
            found.slot = _slot_of(entry, work, broker)
        return found

    @staticmethod
    def _live_again(broker: Broker, work: Work, row: Row) -> Revival | Reject:
        """A failed run whose message was redriven waits again, and has its key again; what else
        lives with it, or why it cannot."""
        keys = [] if row.run.key is None else [Take(row.run.key, row.id)]
        revival = revive(broker, row)
        put = put_run(row.id, revival.run, "waiting", row.version, rings=True)
        change = Change(keys=keys, records=[put, *revival.records], counters=revival.counters)
        answer = broker.apply([change], durable=False)[0]
        if answer.refused is not None:
            return Reject(f"it cannot run again: {answer.refused}")
        work.row = Row(row.id, "waiting", answer.versions[0], revival.run, row.created_at)
        return revival

    def _wants_run(self, delivery: Delivery, body: TaskBody) -> bool:
        """Whether a call without a run is to have one."""
        if body.result is not None:
            return True
        entry = None if body.run is not None else self._tasks.get(delivery.queue, body.task or "")
        return entry is not None and entry.durable is not None

    def _cancelled(self, broker: Broker | None, deliveries: Sequence[Delivery]) -> set[str]:
        """Which of these calls without a run were cancelled. Hardly any ever is, so it is asked
        now and then whether there is one at all."""
        if broker is None or not broker.features.runs:
            return set()
        now = broker.clock.elapsed()
        looked_at, any_there = self._looks.get(broker, (float("-inf"), False))
        if now - looked_at >= broker.economy.look_every:
            any_there = bool(broker.list_records(ANY_CANCELLED).records)
            self._looks[broker] = (now, any_there)
        if not any_there:
            return set()
        return set(broker.records(CANCEL, [one.id for one in deliveries]))


def _load(broker: Broker, ids: Collection[str]) -> tuple[dict[str, Row], dict[str, str]]:
    """Runs by their ids, without those that are not there; and why others cannot be read here: one
    of another release, or nested deeper than this Python reads. They keep nobody else waiting."""
    rows, unread = {}, {}
    for id, record in broker.records(RUN, ids).items():
        try:
            rows[id] = row_of(record)
        except DecodeError as error:
            unread[id] = str(error)
    return rows, unread


def _in_plans(
    broker: Broker, rows: Mapping[str, Row], unread: dict[str, str]
) -> tuple[dict[str, msgspec.Raw], set[str]]:
    """What runs of plans take from what was before them, by their ids; and which of them are not
    wanted any more, since the chain that they are in has ended. Those that take what cannot be read
    become `unread`."""
    places = {id: row.run.place for id, row in rows.items() if row.run.place is not None}
    if not places:
        return {}, set()
    asked = {one for place in places.values() for one in (place.takes, place.tail) if one}
    found, lost = _load(broker, asked) if asked else ({}, {})
    values = {}
    for id in {place.takes for place in places.values()}:
        if id is not None and id in found:
            try:
                values[id] = value_of(broker, found[id])
            except DecodeError as error:
                lost[id] = str(error)
    unread |= {id: lost[one.takes] for id, one in places.items() if one.takes in lost}
    taken = {id: values[place.takes] for id, place in places.items() if place.takes in values}
    over = {
        id
        for id, place in places.items()
        if place.tail in found and found[place.tail].state in FINAL
    }
    return taken, over


def _too_new(row: Row, entry: TaskEntry) -> NoHandler | None:
    """Why the code here cannot go on with a run that newer code began."""
    has, wants = entry.durable, row.run.durable
    if has is None or wants is None or wants.version <= has.version:
        return None
    return NoHandler(
        f"run {row.id!r} was begun by version {wants.version} of {entry.name}, and this worker has "
        f"version {has.version}"
    )


def _is_nudge(delivery: Delivery, body: TaskBody, row: Row) -> bool:
    """Whether a message is of an earlier generation of a run that waits again and again: what it
    tells of may concern a later one."""
    earlier = 0 < body.generation < row.run.generation
    return row.run.durable is not None and earlier and delivery.queue == row.run.queue


def _is_left_over(broker: Broker, delivery: Delivery, row: Row) -> bool:
    """Whether a failed run's message was to be a dead letter with its end, and is none yet: whoever
    ended it died in between. (One that was redriven counts its starts anew.)"""
    return not broker.features.atomic and 0 < row.run.attempts < delivery.receive_count


def _slot_of(entry: TaskEntry, work: Work, broker: Broker | None) -> str | None:
    """Where a call counts whose sender did not know; None where nothing is counted."""
    if entry.flow is None or broker is None or not broker.features.limits:
        return None
    args, kwargs = work.body.args, work.body.kwargs
    if work.row is not None:
        args, kwargs = work.row.run.args, work.row.run.kwargs
    before = () if work.taken is None else (work.taken,)
    try:
        given = entry.parameters.decode(entry.name, args, kwargs, before)
        return entry.flow.slot(entry.name, entry.parameters, given.args, given.kwargs)
    except Exception:  # it is refused when it is to run, and says why
        return None


def _mismatch(delivery: Delivery, work: Work, broker: Broker | None) -> str | None:
    """Why a message is not that of the run it names; None when it is."""
    body, row = work.body, work.row
    if broker is None:
        return "it names a run, and runs need a broker: lambda_handler(queue, broker=…)"
    if row is None:
        return f"it names run {body.run!r}, which is not there (any more)"
    wanted: Any
    for what, has, wanted in (
        ("queue", delivery.queue, row.run.queue),
        ("generation", body.generation, row.run.generation),
        ("id", delivery.id, message_id(row.id, row.run.generation)),
    ):
        if has != wanted:
            return f"it names run {row.id!r}, whose message has the {what} {wanted!r}, not {has!r}"
    return None
