"""A coroutine's step whose function has returned, until what it returned is kept."""

from asyncio import Future
from collections.abc import Iterable

from taskflow.workflows.step_run import StepRun


class EndedStep:
    """`kept` is done when it is; `error` is why it cannot be."""

    def __init__(self, step: StepRun, result: bytes, kept: "Future[None]") -> None:
        self.step = step
        self.kept = kept
        self.error: BaseException | None = None
        self._result: bytes | None = result

    def note(self) -> None:
        """Note it in its journal, once. The journal's lock is held."""
        if self._result is not None:
            self.step.note(self._result)
            self._result = None


def tell(some: Iterable[EndedStep]) -> None:
    """Let those go on who wait for these."""
    for one in some:
        if one.kept.done():
            continue  # nobody waits any more
        if one.error is None:
            one.kept.set_result(None)
        else:
            one.kept.set_exception(one.error)
