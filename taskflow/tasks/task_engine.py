"""How a worker reads, runs and settles the messages of tasks: the engine of a registry's tasks."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from taskflow import payload as json
from taskflow.broker import Broker
from taskflow.broker.change import Change
from taskflow.broker.record import RecordQuery
from taskflow.engine import Begins, Ended, Found
from taskflow.entry import Arguments
from taskflow.errors import BrokerError, DecodeError, NoHandler, Reject
from taskflow.event import NO_TEXTS, Context, Event
from taskflow.message import Delivery
from taskflow.outgoing import Outgoing, outgoing
from taskflow.retry import Done, Outcome
from taskflow.tasks.bodies import TaskBody, is_task_body, read_body
from taskflow.tasks.cancelling import CANCEL
from taskflow.tasks.due_runs import send_due
from taskflow.tasks.preparing import message_id, put_run
from taskflow.tasks.progress import Progress
from taskflow.tasks.run import FINAL, RUN, Row, row_of
from taskflow.tasks.settling import settlement
from taskflow.tasks.task_context import TaskContext
from taskflow.tasks.task_entry import TaskEntry
from taskflow.tasks.work import Work

LOOK_EVERY = 1.0  # seconds between two looks whether any call without a run was cancelled


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
        gone = self._cancelled(broker, deliveries)
        found = []
        for delivery, body in zip(deliveries, bodies, strict=True):
            if isinstance(body, DecodeError):
                found.append(Found(None, refusal=body, work=None))
                continue
            work = Work(body.task or "", body, row=rows.get(body.run or ""))
            found.append(self._judge(delivery, work, broker, delivery.id in gone))
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

    def _cancelled(self, broker: Broker | None, deliveries: Sequence[Delivery]) -> set[str]:
        """Which of these calls without a run were cancelled. Hardly any ever is, so it is asked
        once a second whether there is one at all."""
        if broker is None or not broker.features.runs:
            return set()
        now = broker.clock.elapsed()
        if now - self._looked_at >= LOOK_EVERY:
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
                arguments = found.entry.parameters.decode(found.entry.name, args, kwargs)
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
            return json.encode(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise Reject(f"the result of {entry.name} cannot be kept: {error}") from error

    def failed(self, found: Found, outcome: Outcome) -> Outcome:
        """One that was told to stop has stopped."""
        stopped = found.work is not None and found.work.cancelled
        return Done(skipped="cancelled") if stopped else outcome

    def declare(self, broker: Broker, queues: Collection[str] | None = None) -> None:
        """Tasks have nothing to declare beside their queues."""

    def tend(self, broker: Broker, worker: str) -> float | None:
        """Send what was called for a time that has come."""
        return send_due(broker, worker) if broker.features.runs else None

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
            elif row.state in ("waiting", "retrying"):
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
    def settle(
        self, broker: Broker, ended: Ended, refused: BrokerError | None = None
    ) -> Change | None:
        """Its end as one change: the run, its key, what it sent, and the message."""
        work: Work | None = ended.found.work
        if work is None:
            return None
        if refused is not None and work.row is not None:
            work.row = load(broker, [work.row.id]).get(work.row.id)
        return settlement(broker, ended, work, refused)


def load(broker: Broker, ids: Sequence[str]) -> dict[str, Row]:
    """Runs by their ids; without those that are not there."""
    return {id: row_of(record) for id, record in broker.records(RUN, ids).items()}


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
