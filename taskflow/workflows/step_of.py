"""A step with options: what `ctx.options(…)` answers in a `def` workflow."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from taskflow.workflows.journal import Journal
from taskflow.workflows.step_options import StepOptions
from taskflow.workflows.step_run import StepRun, run_step

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
