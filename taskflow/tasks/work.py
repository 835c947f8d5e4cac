"""What the engine of tasks holds of one message, from its receive until it is settled."""

from typing import Any

import msgspec

from taskflow.message import Delivery
from taskflow.outgoing import Outgoing
from taskflow.tasks.progress import Progress
from taskflow.tasks.run import Row
from taskflow.tasks.task_body import TaskBody


class Work(msgspec.Struct, eq=False):
    """`row` is the run as it was last seen, None for a call without one. `task` is what the call
    names. `taken` is what came before it in its plan, as JSON. `cancelled`: somebody wants it to
    stop. `steering`: of a run that may wait and go on."""

    delivery: Delivery
    task: str
    body: TaskBody
    row: Row | None = None
    taken: msgspec.Raw | None = None
    outgoing: Outgoing | None = None
    progress: Progress | None = None
    cancelled: bool = False
    steering: Any = None

    @property
    def is_group(self) -> bool:
        """Whether it is a group's run, which calls no function."""
        place = None if self.row is None else self.row.run.place
        return place is not None and place.members is not None
