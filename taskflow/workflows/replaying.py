"""Runs are tried against the code that is loaded now: where it would go another way is told."""

import logging
from collections.abc import Iterator
from contextvars import copy_context
from itertools import islice

from taskflow.broker import Broker
from taskflow.engine import Begins, Found
from taskflow.event import current, handling
from taskflow.message import Delivery
from taskflow.outgoing import outgoing
from taskflow.registry import Registry, default_registry
from taskflow.retry import describe
from taskflow.sealing.sealed_broker import sealed
from taskflow.tasks.decorator import task_engine
from taskflow.tasks.preparing import message_id
from taskflow.tasks.run import Row, as_durable, state_of
from taskflow.tasks.task_body import TaskBody
from taskflow.tasks.work import Work
from taskflow.worker.execute import invoke
from taskflow.workflows.replay import Replay
from taskflow.workflows.replay_journal import Replayed, ReplayJournal, differences
from taskflow.workflows.run_listing import newest_runs
from taskflow.workflows.steering import Steering
from taskflow.workflows.workflow_entry import WorkflowEntry

log = logging.getLogger("taskflow.workflows.replay")


def replay_runs(
    broker: Broker,
    registry: Registry = default_registry,
    *,
    workflow: str | None = None,
    limit: int = 100,
) -> Iterator[Replay]:
    """Execute the newest `limit` runs, of one workflow or of all, ended ones too, with the code of
    the registry: each up to where what is kept of it ends. No step is run, nothing is sent, kept,
    or taken, and no middleware hears of it; the code between the steps is run. Raises
    BrokerUnavailable."""
    broker = sealed(broker, registry.codec)
    for row in islice(newest_runs(broker, workflow), limit):
        yield replay_run(broker, row, registry)


def replay_run(broker: Broker, row: Row, registry: Registry = default_registry) -> Replay:
    """The same of one run."""
    broker = sealed(broker, registry.codec)
    run, now = row.run, broker.clock.now()
    entry = task_engine(registry).tasks.get(run.queue, run.task)
    steps, version = 0, 0 if run.durable is None else run.durable.version
    if not isinstance(entry, WorkflowEntry) or entry.durable is None:
        drift = [f"no module that is loaded has a workflow {run.task} on queue {run.queue!r}"]
    elif version > entry.durable.version:
        drift = [f"version {version} began it, and the code is version {entry.durable.version}"]
    else:
        row = as_durable(row, entry.durable)
        steps, drift = copy_context().run(_execute, broker, entry, row, registry)
    return Replay(
        run=row.id,
        workflow=run.task,
        state=state_of(row, now),
        version=version,
        steps=steps,
        drift=drift,
    )


def _execute(
    broker: Broker, entry: WorkflowEntry, row: Row, registry: Registry
) -> tuple[int, list[str]]:
    """How many steps are kept, and how the code differs."""
    assert entry.durable is not None
    delivery = _delivery(row, broker.clock.now())
    body = TaskBody(run=row.id, generation=row.run.generation)
    work = Work(delivery, entry.name, body, row=row)
    journal = ReplayJournal(broker, work, version=entry.durable.version)
    journal.load()
    work.steering, work.outgoing = Steering(journal), journal.outgoing
    found = Found(entry, entry.policy, work=work)
    begins = Begins(entry.name, None, logging.LoggerAdapter(log, {}))
    context = task_engine(registry).context(found, delivery, begins, broker)
    work.progress = None
    if found.refusal is not None:
        return journal.size, [str(found.refusal)]
    outgoing.set(journal.outgoing)
    handling.set(journal.broker)
    current.set(context.event)
    try:
        invoke(entry, context)
    except Replayed:
        return journal.size, differences(journal)
    except Exception as error:
        said = describe(error)
        same = row.run.error is not None and row.run.error.type == said["error"]
        raised = [] if same else [f"it raises {said['error']}: {said['message']}"]
        return journal.size, [*journal.drift.differences, *raised]
    return journal.size, journal.drift.differences


def _delivery(row: Row, now: float) -> Delivery:
    """A receive of the message of the run, which nobody has received."""
    id = message_id(row.id, row.run.generation)
    return Delivery(id, "", "", {}, row.run.queue, "", 1, row.created_at, now, now)
