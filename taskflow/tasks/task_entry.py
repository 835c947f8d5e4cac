"""What a worker knows of a task on one of its queues."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from taskflow.entry import Arguments, Entry
from taskflow.event import Context
from taskflow.tasks.parameters import Parameters
from taskflow.tasks.task_context import TaskContext

if TYPE_CHECKING:
    from taskflow.tasks.task import TaskBase


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEntry(Entry):
    """`keep` and `keep_failed`: for how long (seconds) results are kept, 0 for none. `on_success`
    and `on_failure` are called with what came of it. `aliases` are its names of before."""

    spare_receives: int = 1
    parameters: Parameters
    keep: float
    keep_failed: float
    on_success: "TaskBase[..., Any] | None" = None
    on_failure: "TaskBase[..., Any] | None" = None
    aliases: Sequence[str] = ()

    def arguments(self, context: Context) -> Arguments:
        """What the message says, and the context where it is wanted."""
        assert isinstance(context, TaskContext)
        return self.parameters.with_context(context.arguments, context)
