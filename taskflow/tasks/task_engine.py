"""How a worker reads, runs and settles the messages of tasks: the engine of a registry's tasks."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from taskflow import payload as json
from taskflow.broker import Broker
from taskflow.broker.change import Change, Take
from taskflow.broker.record import RecordQuery
from taskflow.engine import Begins, Ended, Found
from taskflow.entry import Arguments
from taskflow.errors import BrokerError, DecodeError, NoHandler, Reject
from taskflow.event import NO_TEXTS, Context, Event
from taskflow.limits import MAX_MESSAGE_BYTES
from taskflow.message import Delivery
from taskflow.outgoing import Outgoing, outgoing
from taskflow.retry import Done, Outcome
from taskflow.tasks.bodies import TaskBody, is_task_body, read_body
from taskflow.tasks.cancelling import CANCEL
from taskflow.tasks.canvas.conducting import value_of
from taskflow.tasks.canvas.sweeping import sweep
from taskflow.tasks.due_runs import send_due
from taskflow.tasks.preparing import message_id, put_run
from taskflow.tasks.progress import Progress
from taskflow.tasks.run import FINAL, Row, load
from taskflow.tasks.settling import says_more, settlement
from taskflow.tasks.task_context import TaskContext
from taskflow.tasks.task_entry import TaskEntry
from taskflow.tasks.work import Work


class TaskEngine:
    """Knows the tasks of a registry by queue and name. Thread-safe once modules are imported."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[str, str], TaskEntry] = {}
        self._looked_at = float("-inf")
        self._any_cancelled = False

    def add(self, entry: TaskEntry) -> None:
        """Know a task, by its name and those it had before."""
        for name in (entry.name, *entry.aliases):
            self._tasks[entry.queue, name] = entry

    def get(self, queue: str, name: str) -> TaskEntry | None:
        """A task of a queue."""
        return self._tasks.get((queue, name))

    def names(self) -> list[str]:
        """The tasks there are, sorted."""
        return sorted({entry.name for entry in self._tasks.values()})

    def find_task(self, name: str) -> TaskEntry | None:
        """A task by its name, on any of its queues."""
        return next((entry for (_, known), entry in self._tasks.items() if known == name), None)

    def queues(self, name: str) -> list[str]:
        """The queues of a task, the usual one first."""
        return [queue for queue, known in self._tasks if known == name]

    # ---- before it runs -----------------------------------------------------------------------
    def takes(self, delivery: Delivery) -> bool:
        """Whether it is a task's message."""
        return is_task_body(delivery.body)

    def find(self, broker: Broker | None, deliveries: Sequence[Delivery]) -> list[Found]:
        """The task of each message, and its run if it has one."""
        bodies: list[TaskBody | DecodeError] = []
        for delivery in deliveries:
            try:
                bodies.append(read_body(delivery))
            except DecodeError as error:
                bodies.append(error)
        runs = {body.run for body in bodies if not isinstance(body, DecodeError) and body.run}
        rows = {} if broker is None or not runs else load(broker, list(runs))
        taken, over = ({}, set()) if broker is None else _in_plans(broker, rows)
        gone = self._cancelled(broker, deliveries)
        found = []
        for delivery, body in zip(deliveries, bodies, strict=True):
            if isinstance(body, DecodeError):
                found.append(Found(None, refusal=body, work=None))
                continue
            id = body.run or ""
            work = Work(body.task or "", body, row=rows.get(id), taken=taken.get(id))
            ended = delivery.id in gone or id in over
            found.append(self._judge(delivery, work, broker, ended))
        return found

    def _judge(
        self, delivery: Delivery, work: Work, broker: Broker | None, cancelled: bool
    ) -> Found:
        body, row = work.body, work.row
        if body.run is not None:
            if (why := _mismatch(delivery, work, broker)) is not None:
                work.row = None
                return Found(None, refusal=Reject(why), work=work)
            assert row is not None
            work.task = row.run.task
            if row.state in FINAL and row.state != "failed":  # a failed one comes from its DLQ
                skipped = "cancelled" if row.state == "cancelled" else None
                return Found(None, decided=Done(duplicate=True, skipped=skipped), work=work)
            if row.state == "failed" and broker is not None and not work.is_group:
                found = self._live_again(broker, work, row)
                if found is not None:
                    return found
                row = work.row
                assert row is not None
            if work.is_group:
                over = row.state in FINAL
                return Found(None, decided=Done(duplicate=over), work=work)
        entry = self.get(delivery.queue, work.task)
        found = Found(entry, None if entry is None else entry.policy, work=work)
        if entry is None:
            found.refusal = NoHandler(
                f"no task {work.task!r} on queue {delivery.queue!r}; is the module that defines it "
                "loaded?"
            )
        elif row is None:
            found.window = entry.window
        expires_at = body.expires if row is None else row.run.expires_at
        if cancelled or (row is not None and row.run.stop):
            found.decided = Done(skipped="cancelled")
        elif expires_at is not None and broker is not None and expires_at <= broker.clock.now():
            found.decided = Done(skipped="expired")
        return found

    @staticmethod
    def _live_again(broker: Broker, work: Work, row: Row) -> Found | None:
        """A failed run whose message was redriven waits again, and has its key again; what is to
        be done instead if it cannot."""
        keys = [] if row.run.key is None else [Take(row.run.key, row.id)]
        put = put_run(row.id, row.run, "waiting", row.version, rings=True)
        answer = broker.apply([Change(keys=keys, records=[put])], durable=False)[0]
        if answer.refused is not None:
            work.row = None
            return Found(None, refusal=Reject(f"it cannot run again: {answer.refused}"), work=work)
        work.row = Row(row.id, "waiting", answer.versions[0], row.run, row.created_at)
        return None

    def _cancelled(self, broker: Broker | None, deliveries: Sequence[Delivery]) -> set[str]:
        """Which of these calls without a run were cancelled. Hardly any ever is, so it is asked
        now and then whether there is one at all."""
        if broker is None or not broker.features.runs:
            return set()
        now = broker.clock.elapsed()
        if now - self._looked_at >= broker.economy.look_every:
            query = RecordQuery(kind=CANCEL, limit=1)
            self._any_cancelled = bool(broker.list_records(query).records)
            self._looked_at = now
        if not self._any_cancelled:
            return set()
        return set(broker.records(CANCEL, [one.id for one in deliveries]))

    # ---- while it runs ------------------------------------------------------------------------
    def context(
        self, found: Found, delivery: Delivery, begins: Begins, broker: Broker | None
    ) -> Context:
        """The context of a task; its event's payload are the arguments."""
        work: Work | None = found.work
        row = None if work is None else work.row
        arguments = Arguments()
        if work is not None and found.refusal is None and isinstance(found.entry, TaskEntry):
            args, kwargs = work.body.args, work.body.kwargs
            if row is not None:
                args, kwargs = row.run.args, row.run.kwargs
            try:
                arguments = found.entry.parameters.decode(
                    found.entry.name, args, kwargs, () if work.taken is None else (work.taken,)
                )
            except Exception as error:  # a type may raise anything when it is made
                found.refusal = error
        event = Event(
            topic="" if work is None else work.task,
            payload=arguments,
            id=delivery.id if row is None else row.id,
            time=delivery.sent_at,
            attempt=delivery.receive_count,
            group=delivery.group,
        )
        context = TaskContext(
            event,
            delivery.queue,
            begins.handler,
            delivery.receive_count,
            begins.deadline,
            begins.logger,
            delivery,
            run=None,
            headers=NO_TEXTS if work is None else work.body.headers,
            arguments=arguments,
            work=work,
        )
        if work is None:
            return context
        context.tick = work.body.tick
        if row is not None and broker is not None:
            work.progress = Progress(broker, row.id)
            context.run, context.headers, context.tick = row.id, row.run.headers, row.run.tick
        if context.tick is not None and broker is not None:
            context.late = max(0.0, broker.clock.now() - context.tick)
        return context

    def begin(self, found: Found, broker: Broker | None) -> None:
        """From here on what it sends is kept until it ends."""
        if broker is not None and broker.features.atomic:
            found.work.outgoing = Outgoing(broker)
            outgoing.set(found.work.outgoing)

    def value(self, found: Found, value: object) -> object:
        """What the task returned, as JSON, if somebody will read it."""
        work, entry = found.work, found.entry
        assert isinstance(entry, TaskEntry)
        if work.outgoing is not None:
            work.outgoing.closed = True
        if work.row is None and entry.on_success is None:
            return None
        try:
            encoded = json.encode(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise Reject(f"the result of {entry.name} cannot be kept: {error}") from error
        if len(encoded) > MAX_MESSAGE_BYTES:
            raise Reject(
                f"the result of {entry.name} is {len(encoded)} bytes; {MAX_MESSAGE_BYTES} are "
                "kept at most: store it elsewhere, and return where"
            )
        return encoded

    def failed(self, found: Found, outcome: Outcome) -> Outcome:
        """One that was told to stop has stopped."""
        stopped = found.work is not None and found.work.cancelled
        return Done(skipped="cancelled") if stopped else outcome

    def declare(self, broker: Broker, queues: Collection[str] | None = None) -> None:
        """Tasks have nothing to declare beside their queues."""

    def tend(self, broker: Broker, worker: str) -> float | None:
        """Send what was called for a time that has come, and let go what was kept of plans."""
        if not broker.features.runs:
            return None
        dues = [due for due in (send_due(broker, worker), sweep(broker)) if due is not None]
        return min(dues, default=None)

    def watch(self, broker: Broker, running: Sequence[Found]) -> Sequence[Found]:
        """Say of long ones that they run, and find out which are to stop."""
        by_id = {found.work.row.id: found for found in running if found.work and found.work.row}
        if not by_id:
            return []
        stopped, begun, changes = [], [], []
        for id, row in load(broker, list(by_id)).items():
            found = by_id[id]
            if row.run.stop or row.state in FINAL:
                found.work.cancelled = True
                stopped.append(found)
            elif row.state in ("waiting", "retrying", "suspended"):
                run = msgspec.structs.replace(row.run, started_at=broker.clock.now())
                put = put_run(id, run, "running", row.version, rings=True)
                changes.append(Change(records=[put]))
                begun.append((found, run))
        for (found, run), answer in zip(begun, broker.apply(changes, durable=False), strict=True):
            if answer.refused is None:
                row = found.work.row
                found.work.row = Row(row.id, "running", answer.versions[0], run, row.created_at)
        return stopped

    # ---- after it -----------------------------------------------------------------------------
    def is_plain(self, found: Found, outcome: Outcome) -> bool:
        """A call without a run that succeeded, and from which nothing follows."""
        work: Work | None = found.work
        return work is None or (
            work.row is None and isinstance(outcome, Done) and not says_more(found)
        )

    def settle(
        self, broker: Broker, ended: Ended, refused: BrokerError | None = None
    ) -> Change | None:
        """Its end as one change: the run, its key, what it sent, and the message."""
        work: Work = ended.found.work
        if refused is not None and work.row is not None:
            work.row = load(broker, [work.row.id]).get(work.row.id)
        return settlement(broker, ended, work, refused)


def _in_plans(broker: Broker, rows: Mapping[str, Row]) -> tuple[dict[str, msgspec.Raw], set[str]]:
    """What runs of plans take from what was before them, by their ids; and which of them are not
    wanted any more, since the chain that they are in has ended."""
    places = {id: row.run.place for id, row in rows.items() if row.run.place is not None}
    if not places:
        return {}, set()
    asked = {one for place in places.values() for one in (place.takes, place.tail) if one}
    found = load(broker, asked) if asked else {}
    values = {
        id: value_of(broker, found[id])
        for id in {place.takes for place in places.values()}
        if id in found
    }
    taken = {id: values[place.takes] for id, place in places.items() if place.takes in values}
    over = {
        id
        for id, place in places.items()
        if place.tail in found and found[place.tail].state in FINAL
    }
    return taken, over


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
