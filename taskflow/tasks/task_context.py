"""What a task may know of its run, and say of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from taskflow.entry import Arguments
from taskflow.event import Context
from taskflow.tasks.work import Work


@dataclass(slots=True, kw_only=True)
class TaskContext(Context):
    """A parameter annotated `Context` gets one of these in a task.

    `run` is the id of its run; None for a task that has none, since nobody asked for a result.
    `headers` are those of the call. `tick` is the time (epoch seconds) that a schedule planned it
    for, and `late` by how many seconds it began after that.
    """

    run: str | None
    headers: Mapping[str, str]
    tick: float | None = None
    late: float = 0.0
    work: Work | None = field(repr=False, default=None)

    @property
    def arguments(self) -> Arguments:
        """What its function is called with: the payload of its event."""
        given: Arguments = self.event.payload
        return given

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Say how far it is: `Result.progress` shows it. Stored ten times a second at most, and by
        a task with a run only; for others it does nothing."""
        if self.work is not None and self.work.progress is not None:
            self.work.progress.report(done, total, note)

    @property
    def cancelled(self) -> bool:
        """Whether the run was cancelled: a long task looks now and then, and stops."""
        return self.work is not None and self.work.cancelled
