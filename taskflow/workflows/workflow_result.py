"""What became of a run of a workflow, and what it may be told."""

from typing import Any, TypeVar

from taskflow.tasks.result import Result
from taskflow.workflows.retrying import retry_run
from taskflow.workflows.run_forking import fork_run
from taskflow.workflows.signals import send_signal
from taskflow.workflows.tree import Branch, tree_of

R = TypeVar("R")


class WorkflowResult(Result[R]):
    """Made by `.delay()` of a workflow, or again from its id anywhere."""

    def signal(self, name: str, payload: Any = None, *, id: str | None = None) -> bool:
        """Tell the run something, which it takes when it waits for this name, now or later
        (`ctx.wait`). False when it has ended, or is not there. `id`: the same one again is one
        signal. Raises TypeError or ValueError for what JSON does not hold, LimitExceeded,
        BrokerUnavailable."""
        return send_signal(self.broker, self.id, name, payload, id=id)

    def tree(self) -> Branch:
        """The run with its steps, in order, and its child runs with theirs; `str()` of it is text.
        Raises NoResult when it is not there, BrokerUnavailable."""
        return tree_of(self.broker, self.id)

    def retry(self) -> None:
        """Let it go on, after it has failed: steps and child runs that failed are run again, and
        what was done stays done. Raises NoResult, WorkflowError when it has not failed, KeyTaken,
        BrokerUnavailable."""
        retry_run(self.broker, self.id)

    def fork(self, step: str | None = None, id: str | None = None) -> "WorkflowResult[R]":
        """A new run that goes on from before this step (None: from the end of what was done), with
        the same arguments; this one stays as it is. Raises NoResult, WorkflowError for a step that
        is not kept, RunExists, BrokerUnavailable."""
        broker = self.broker
        made = fork_run(broker, self.id, step, id=id)
        return WorkflowResult(made, broker=broker, returns=self._returns)
