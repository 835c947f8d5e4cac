"""A step with options: what `ctx.options(…)` answers in an `async def` workflow."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

from taskflow.broker.own_sql import Sql
from taskflow.workflows.async_step import in_thread, run_step_async
from taskflow.workflows.journal import Journal
from taskflow.workflows.step_options import StepOptions
from taskflow.workflows.step_run import StepRun
from taskflow.workflows.transactions import run_marked, run_transaction

P = ParamSpec("P")
R = TypeVar("R")


class AsyncStepOf:
    """Made by `AsyncRun.options`."""

    def __init__(self, open: Callable[[], Journal], options: StepOptions) -> None:
        self._open = open
        self._options = options

    @overload
    def step(
        self, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[R]: ...
    @overload
    def step(
        self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[R]: ...
    def step(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """As `AsyncRun.step`."""
        return run_step_async(StepRun(self._open(), self._options, function, args, kwargs))

    async def transaction(
        self, function: Callable[Concatenate[Sql, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """As `AsyncRun.transaction`."""
        step = StepRun(self._open(), self._options, function, args, kwargs, "transaction")
        answer: R = await in_thread(step, lambda: run_transaction(step))
        return answer

    async def transaction_on(
        self,
        database: Any,
        function: Callable[Concatenate[Any, P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """As `AsyncRun.transaction_on`."""
        step = StepRun(self._open(), self._options, function, args, kwargs, "transaction")
        answer: R = await in_thread(step, lambda: run_marked(step, database))
        return answer
