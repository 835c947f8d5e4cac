"""What the engine of tasks holds of one message, from its receive until it is settled."""

from dataclasses import dataclass, field

from taskflow.outgoing import Outgoing
from taskflow.tasks.bodies import TaskBody
from taskflow.tasks.progress import Progress
from taskflow.tasks.run import Row


@dataclass(slots=True, eq=False)
class Work:
    """`row` is the run as it was last seen, None for a call without one. `task` is what the call
    names. `cancelled`: somebody wants it to stop."""

    task: str
    body: TaskBody
    row: Row | None = None
    outgoing: Outgoing | None = None
    progress: Progress | None = field(default=None, repr=False)
    cancelled: bool = False
