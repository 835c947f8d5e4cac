"""A step with options: what `ctx.options(…)` answers in a `def` workflow."""

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from taskflow.broker.own_sql import Sql
from taskflow.workflows.journal import Journal
from taskflow.workflows.step_options import StepOptions
from taskflow.workflows.step_run import StepRun, run_step
from taskflow.workflows.transactions import run_marked, run_transaction

P = ParamSpec("P")
R = TypeVar("R")


class StepOf:
    """Made by `Run.options`."""

    def __init__(self, open: Callable[[], Journal], options: StepOptions) -> None:
        self._open = open
        self._options = options

    def step(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """As `Run.step`."""
        answer: R = run_step(StepRun(self._open(), self._options, function, args, kwargs))
        return answer

    def transaction(
        self, function: Callable[Concatenate[Sql, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """As `Run.transaction`."""
        step = StepRun(self._open(), self._options, function, args, kwargs, "transaction")
        answer: R = run_transaction(step)
        return answer

    def transaction_on(
        self,
        database: Any,
        function: Callable[Concatenate[Any, P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """As `Run.transaction_on`."""
        step = StepRun(self._open(), self._options, function, args, kwargs, "transaction")
        answer: R = run_marked(step, database)
        return answer
