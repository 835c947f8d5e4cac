"""A broker in memory with what one dead letter needs: for `taskflow dlq debug --sandbox`."""

from collections.abc import Iterable, Mapping

import click
import msgspec

from taskflow.broker import Broker
from taskflow.broker.change import Change, Put
from taskflow.broker.message_query import MessageQuery
from taskflow.broker.record import RecordQuery
from taskflow.clock import SystemClock
from taskflow.message import Delivery, Message
from taskflow.registry import Registry
from taskflow.sealing.sealed_broker import sealed
from taskflow.tasks.canvas.conducting import rows_of
from taskflow.tasks.decorator import task_engine
from taskflow.tasks.durable import SIGNAL, STEP, life_of
from taskflow.tasks.preparing import put_run
from taskflow.tasks.run import Row, as_durable, load
from taskflow.testing import memory_broker
from taskflow.topology import declare
from taskflow.worker.execute import find_job, identify
from taskflow.worker.job import Job
from taskflow.workflows.sandbox_entry import sandboxed
from taskflow.workflows.workflow_entry import WorkflowEntry

SHOWN = 20  # messages
PAGE = 1000


class Sandbox:
    """What runs in it is a copy: the run of the letter with its steps and signals, and what it
    takes of its plan. Steps of which nothing is kept are not run; `answers` are what they answer,
    as JSON."""

    def __init__(
        self, real: Broker, registry: Registry, answers: Mapping[str, msgspec.Raw]
    ) -> None:
        self._real = sealed(real, registry.codec)
        self._registry = registry
        self._answers = answers
        self.broker = sealed(memory_broker(clock=SystemClock()), registry.codec)
        declare(self.broker, registry, apply=True)

    def job(self, delivery: Delivery) -> Job:
        """The letter as a message of the sandbox, with who handles it."""
        if delivery.run is not None:
            delivery = self._copy(delivery, delivery.run)
        job = find_job(delivery, self._registry)
        identify([job], self.broker, self._registry)
        if isinstance(job.entry, WorkflowEntry):
            job.entry = sandboxed(job.entry, self._answers)
            assert job.found is not None
            job.found.entry = job.entry
        return job

    def list_sent(self, job: Job, ended_well: bool) -> None:
        """Say what it has sent; what a task sends goes with its end."""
        here, work = self.broker, None if job.found is None else job.found.work
        if ended_well and work is not None and work.outgoing is not None:
            here.apply([Change(sends=work.outgoing.sends)])
        query = MessageQuery(order="oldest", limit=SHOWN)
        found = [
            one.delivery for one in here.find(query).messages if one.delivery.id != job.delivery.id
        ]
        for sent in found:
            click.echo(f"it sent {sent.id} to {sent.queue} ({sent.topic or 'directly'})")
        if not found:
            click.echo("it sent nothing")

    def _copy(self, delivery: Delivery, id: str) -> Delivery:
        row = load(self._real, [id]).get(id)
        if row is not None:
            entry = task_engine(self._registry).tasks.get(row.run.queue, row.run.task)
            if entry is not None and entry.durable is not None:
                row = as_durable(row, entry.durable)
            again = Row(id, "retrying", 0, msgspec.structs.replace(row.run, stop=False))
            self._keep([again])
            self._keep(self._before(row))
            if row.run.durable is not None:
                steps = RecordQuery(kind=STEP, label=life_of(id, row.run.durable), limit=PAGE)
                self._copy_records(steps)
                root = id if row.run.place is None else row.run.place.root
                self._copy_records(RecordQuery(kind=SIGNAL, parent=root, limit=PAGE))
        message = Message(
            delivery.id,
            delivery.body,
            group=delivery.group,
            deduplication_id=delivery.deduplication_id,
            trace=delivery.trace,
            run=id,
            headers=delivery.headers,
        )
        if delivery.queue not in self.broker.queues():  # its module is not loaded, which is told
            self.broker.create_queue(delivery.queue)
        self.broker.send(delivery.queue, [message])
        (lent,) = self.broker.receive(delivery.queue)
        return lent

    def _before(self, row: Row) -> Iterable[Row]:
        """The runs of its plan that it looks at."""
        place = row.run.place
        if place is None:
            return
        found = load(self._real, [one for one in (place.takes, place.tail) if one])
        yield from (one for one in found.values() if one.id != row.id)
        left = [found[place.takes]] if place.takes in found else []
        while left:
            at = left.pop().run.place
            for member in rows_of(self._real, at, at.members) if at and at.members else ():
                yield member
                left.append(member)

    def _keep(self, rows: Iterable[Row]) -> None:
        records = [put_run(row.id, row.run, row.state, None) for row in rows]
        if records:
            self.broker.apply([Change(records=records)])

    def _copy_records(self, query: RecordQuery) -> None:
        after: str | None = None
        while True:
            asked = msgspec.structs.replace(query, order="oldest", after=after)
            page = self._real.list_records(asked)
            puts = [
                Put(
                    kind=one.kind,
                    key=one.key,
                    value=one.value,
                    parent=one.parent,
                    label=one.label,
                    state=one.state,
                )
                for one in page.records
            ]
            if puts:
                self.broker.apply([Change(records=puts)])
            if (after := page.next) is None:
                return
