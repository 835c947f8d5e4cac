"""What the contexts of both kinds of workflows have."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from taskflow.errors import WorkflowError
from taskflow.tasks.canvas.following import CANCELS
from taskflow.tasks.task_context import TaskContext
from taskflow.workflows.journal import Journal
from taskflow.workflows.steering import Steering
from taskflow.workflows.step_run import running


@dataclass(slots=True, kw_only=True)
class Durably(TaskContext):
    """Of one attempt of one run, until its function has returned."""

    @property
    def key(self) -> str:
        """Inside of a step: what to give to those who may be asked twice for the same thing (an
        idempotency key): it is the same each time that the step is run, and no other's."""
        if (step := running.get()) is None:
            raise WorkflowError("ctx.key is of a step; it is run by ctx.step(…)")
        return step.key

    @property
    def cancels(self) -> str | None:
        """In an `on_cancel` function: the id of the run that was cancelled."""
        return self.headers.get(CANCELS)

    @property
    def version(self) -> int:
        """The `version` of the code that began the run."""
        return self.journal.durable.version

    @property
    def drift(self) -> Sequence[str]:
        """Where the code is seen to be another one than that which began the run."""
        return tuple(self.journal.drift.differences)

    @property
    def journal(self) -> Journal:
        """The steps of this attempt."""
        return self._of_the_run().journal

    @property
    def steering(self) -> Steering:
        """Its waits and child runs. Raises WorkflowError where there may be none."""
        self.open()
        return self._of_the_run()

    def _of_the_run(self) -> Steering:
        assert self.work is not None
        return cast(Steering, self.work.steering)

    def open(self) -> Journal:
        """The journal. Raises WorkflowError where there may be no step."""
        if (step := running.get()) is not None:
            raise WorkflowError(
                f"step {step.id!r} is run, and a step has no steps; call the function itself"
            )
        if self.journal.outgoing.closed:
            raise WorkflowError("the run's function has returned, and its context is closed")
        return self.journal
