"""`Workflow`: a durable function that is called through its queue."""

from typing import ParamSpec, TypeVar, Unpack

from taskflow.tasks.call_options import CallOptions, check_options
from taskflow.tasks.task import AsyncTask, Task, TaskBase
from taskflow.workflows.workflow_calling import WorkflowCalling
from taskflow.workflows.workflow_result import WorkflowResult

P = ParamSpec("P")
R = TypeVar("R")


class WorkflowBase(TaskBase[P, R]):
    """What a workflow is beside the function: called by `@workflow`, never by hand. A plain call
    calls the function, which needs a context."""

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> WorkflowResult[R]:
        """Begin a run of it; returns at once, when that is stored. Raises as `Task.delay`."""
        return self._calling().delay(*args, **kwargs)

    async def delay_async(self, *args: P.args, **kwargs: P.kwargs) -> WorkflowResult[R]:
        """`delay`, without holding up the event loop."""
        return await self._calling().delay_async(*args, **kwargs)

    def options(self, **options: Unpack[CallOptions]) -> WorkflowCalling[P, R]:
        """The workflow with options for its next calls: `fulfil.options(id="order-7")`."""
        chosen = check_options(options, self.target.defaults)
        if chosen.keep == 0:
            raise ValueError("result is None; a workflow always keeps its run, for some time")
        if chosen.id is not None and "^" in chosen.id:
            raise ValueError(
                f"id is {chosen.id!r}; a workflow's has no ^, by which what a run does after a "
                "restart is told from what it did before"
            )
        return WorkflowCalling(self.target, self.parameters, chosen, self.registry)

    def _calling(self) -> WorkflowCalling[P, R]:
        return WorkflowCalling(self.target, self.parameters, self.target.defaults, self.registry)

    def __repr__(self) -> str:
        return f"<workflow {self.name}>"


class Workflow(WorkflowBase[P, R], Task[P, R]):
    """Of a `def` function."""


class AsyncWorkflow(WorkflowBase[P, R], AsyncTask[P, R]):
    """Of an `async def` function."""
