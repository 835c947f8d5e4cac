"""How a worker reads, runs and settles the messages of tasks: the engine of a registry's tasks."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from taskflow import payload as json
from taskflow.broker import Broker
from taskflow.broker.change import Change
from taskflow.engine import Begins, Ended, Found
from taskflow.entry import Arguments
from taskflow.errors import BrokerError, ConfigError, Reject
from taskflow.event import Context, Event
from taskflow.limits import MAX_MESSAGE_BYTES
from taskflow.message import Delivery
from taskflow.retry import Done, Outcome
from taskflow.tasks.canvas.sweeping import sweep
from taskflow.tasks.due_runs import send_due
from taskflow.tasks.durable import Leaving
from taskflow.tasks.preparing import put_run
from taskflow.tasks.progress import Progress
from taskflow.tasks.reading import Reader
from taskflow.tasks.run import FINAL, Row, Run, as_durable, load
from taskflow.tasks.settling import settlement
from taskflow.tasks.succeeding import plain_end
from taskflow.tasks.task_body import BEGINNINGS, TaskBody, is_task_body
from taskflow.tasks.task_context import TaskContext
from taskflow.tasks.task_entry import TaskEntry
from taskflow.tasks.task_table import TaskTable
from taskflow.tasks.work import Work
from taskflow.tasks.workflow_names import note_workflows
from taskflow.wire.trace_header import header_parent

_NO_CALL, _NO_ARGUMENTS = TaskBody(), Arguments()


class TaskEngine:
    """The engine of a registry's `tasks`. Thread-safe once modules are imported."""

    def __init__(self) -> None:
        self.tasks = TaskTable()
        self._reader = Reader(self.tasks)

    # ---- before it runs -----------------------------------------------------------------------
    def takes(self, delivery: Delivery) -> bool:
        """Whether it is a task's message."""
        body = delivery.body
        return body.startswith(BEGINNINGS) or is_task_body(body)

    def find(self, broker: Broker | None, deliveries: Sequence[Delivery]) -> list[Found]:
        """The task of each message, and its run if it has one."""
        return self._reader.find(broker, deliveries)

    # ---- while it runs ------------------------------------------------------------------------
    def context(
        self, found: Found, delivery: Delivery, begins: Begins, broker: Broker | None
    ) -> Context:
        """The context of a task; its event's payload are the arguments."""
        work: Work | None = found.work
        entry = found.entry if isinstance(found.entry, TaskEntry) else None
        call: TaskBody | Run = _NO_CALL
        id, trace, run, topic, arguments = delivery.id, delivery.trace, None, "", _NO_ARGUMENTS
        if work is not None:
            call, topic = work.body, work.task
            if (row := work.row) is not None:
                call, id = row.run, row.id
                trace = trace or call.trace
                if broker is not None:
                    run, work.progress = id, Progress(broker, id)
            if entry is not None and found.refusal is None:
                before = () if work.taken is None else (work.taken,)
                try:
                    arguments = entry.parameters.decode(entry.name, call.args, call.kwargs, before)
                except Exception as error:  # a type may raise anything when it is made
                    found.refusal = error
        attempt, tick, late = delivery.receive_count, call.tick, 0.0
        if tick is not None and broker is not None:
            late = max(0.0, broker.clock.now() - tick)
        event = Event(
            topic=topic,
            payload=arguments,
            id=id,
            time=delivery.sent_at,
            traceparent=None if trace is None else header_parent(trace),
            attempt=attempt,
            group=delivery.group,
        )
        return (TaskContext if entry is None else entry.context_type)(
            event,
            delivery.queue,
            begins.handler,
            attempt,
            begins.deadline,
            begins.logger,
            delivery,
            run=run,
            headers=call.headers,
            tick=tick,
            late=late,
            work=work,
        )

    def begin(self, found: Found, broker: Broker | None) -> None:
        """From here on what it sends is kept until it ends."""
        entry: Any = found.entry  # one of ours
        if broker is not None:
            entry.begin(found.work, broker)

    def value(self, found: Found, value: object) -> object:
        """What the task returned, as JSON, if somebody will read it."""
        entry: Any = found.entry  # one of ours
        work: Work = found.work
        if (out := work.outgoing) is not None:
            out.closed = True
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
        """One that was told to stop has stopped. What it sends from now on is of no attempt."""
        work: Work | None = found.work
        if work is not None and work.outgoing is not None:
            work.outgoing.closed = True
        if isinstance(outcome.error, Leaving):
            return Done(value=outcome.error.how, skipped="suspended")
        stopped = work is not None and work.cancelled
        return Done(skipped="cancelled") if stopped else outcome

    def declare(self, broker: Broker, queues: Collection[str] | None = None) -> None:
        """Tasks have nothing to declare beside their queues, and workflows their names. Raises
        ConfigError for limits that the broker does not hold."""
        limited = [one for one in self.tasks.entries() if one.flow is not None]
        for entry in limited:
            if not broker.features.limits and (queues is None or entry.queue in queues):
                raise ConfigError(
                    f"task {entry.name} has limits over all workers, which this broker cannot "
                    "hold: use concurrency= (in each process), rate= (of all its starts), or a "
                    "FIFO queue (one of each group at once)"
                )
        if broker.features.runs:
            durable = [one for one in self.tasks.entries() if one.durable is not None]
            note_workflows(
                broker,
                [
                    name
                    for one in durable
                    if queues is None or one.queue in queues
                    for name in one.names
                ],
            )

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
                begun.append((found, row, run))
        answers = broker.apply(changes, durable=False) if changes else []
        for (found, row, run), answer in zip(begun, answers, strict=True):
            if answer.refused is None:
                found.work.row = Row(row.id, "running", answer.versions[0], run, row.created_at)
        return stopped

    # ---- after it -----------------------------------------------------------------------------
    def is_plain(self, found: Found, outcome: Outcome) -> bool:
        """A call without a run that succeeded, and from which nothing follows."""
        work: Work | None = found.work
        if work is None:
            return True
        if work.row is not None or not isinstance(outcome, Done):
            return False
        entry: Any = found.entry  # one of ours
        if (out := work.outgoing) is not None and (out.sends or out.records):
            return False
        return entry is None or entry.on_success is None

    def settle(
        self, broker: Broker, ended: Ended, refused: BrokerError | None = None
    ) -> Change | None:
        """Its end as one change: the run, its key, what it sent, and the message."""
        work: Work = ended.found.work
        if refused is None and (end := plain_end(broker, ended, work)) is not None:
            return end
        if refused is not None and work.row is not None:
            row = load(broker, [work.row.id]).get(work.row.id)
            entry = ended.found.entry
            if row is not None and isinstance(entry, TaskEntry) and entry.durable is not None:
                row = as_durable(row, entry.durable)
            work.row = row
        return settlement(broker, ended, work, refused)
