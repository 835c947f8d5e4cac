"""What a worker knows of a task on one of its queues."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taskflow.broker import Broker
from taskflow.entry import Arguments, Entry
from taskflow.event import Context
from taskflow.outgoing import Outgoing, outgoing
from taskflow.tasks.call_options import NOTHING, Checked
from taskflow.tasks.durable import Durable
from taskflow.tasks.flow import Flow
from taskflow.tasks.parameters import Parameters
from taskflow.tasks.preparing import Target
from taskflow.tasks.task_context import TaskContext
from taskflow.tasks.work import Work

if TYPE_CHECKING:
    from taskflow.tasks.task import TaskBase


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEntry(Entry):
    """`keep` and `keep_failed`: for how long (seconds) results are kept, 0 for none. `on_success`
    and `on_failure` are called with what came of it. `aliases` are its names of before. `flow` are
    its limits, `defaults` the options of its calls."""

    spare_receives: int = 1
    parameters: Parameters
    keep: float
    keep_failed: float
    on_success: "TaskBase[..., Any] | None" = None
    on_failure: "TaskBase[..., Any] | None" = None
    aliases: Sequence[str] = ()
    flow: Flow | None = None
    defaults: Checked = NOTHING
    durable: Durable | None = None
    """What a run of it keeps first, if it may wait and go on."""

    @property
    def context_type(self) -> type[TaskContext]:
        """What its function gets that asks for the context."""
        return TaskContext

    def begin(self, work: Work, broker: Broker) -> None:
        """An attempt begins: from here on what it sends is kept until it ends."""
        if broker.features.atomic:
            work.outgoing = out = Outgoing(broker, work.delivery)
            outgoing.set(out)

    @property
    def names(self) -> Sequence[str]:
        """Its name, and those of before."""
        return (self.name, *self.aliases)

    def arguments(self, context: Context) -> Arguments:
        """What the message says, and the context where it is wanted."""
        given: Arguments = context.event.payload
        parameters = self.parameters
        return given if parameters.context is None else parameters.with_context(given, context)


def target_of(entry: TaskEntry, queues: Sequence[str]) -> Target:
    """The task as its callers know it."""
    durable = entry.durable is not None
    return Target(
        *(entry.name, queues, entry.keep, entry.keep_failed, entry.flow, entry.defaults, durable)
    )
