"""A workflow with the options of its next calls."""

import asyncio
from typing import Any, ParamSpec, TypeVar, cast

from taskflow.broker import Broker
from taskflow.tasks.calling import Calling
from taskflow.workflows.workflow_result import WorkflowResult

P = ParamSpec("P")
R = TypeVar("R")


class WorkflowCalling(Calling[P, R]):
    """Made by `Workflow.options`."""

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> WorkflowResult[R]:
        """As `Workflow.delay`."""
        return cast(WorkflowResult[R], super().delay(*args, **kwargs))

    async def delay_async(self, *args: P.args, **kwargs: P.kwargs) -> WorkflowResult[R]:
        """`delay`, without holding up the event loop."""
        return await asyncio.to_thread(self.delay, *args, **kwargs)

    def _result(
        self, broker: Broker, id: str, created: bool = True, kept: bool | None = None
    ) -> WorkflowResult[Any]:
        assert self._parameters is not None
        returns = self._parameters.returns
        return WorkflowResult(id, broker=broker, returns=returns, created=created)
