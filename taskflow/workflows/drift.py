"""Where the code of a run is seen to be another one than that which wrote its steps."""

import logging

from taskflow.errors import WorkflowDrift, WorkflowError
from taskflow.workflows.checkpoint import Checkpoint

log = logging.getLogger("taskflow.workflows")


class Drift:
    """Of one attempt; `differences` in words. `strict`: the first is raised. `version` is that of
    the code that began the run; `quiet`: nothing is logged."""

    def __init__(
        self, run: str, version: int, *, strict: bool = False, quiet: bool = False
    ) -> None:
        self.differences: list[str] = []
        self._run, self._version, self._strict, self._quiet = run, version, strict, quiet
        self._functions: dict[str, str] = {}

    def compare(self, found: Checkpoint, at: int, function: str, given: str) -> None:
        """Note how the code differs from what is kept. Raises WorkflowDrift if it is strict."""
        was = []
        if found.at != at:
            was.append(f"it was step {found.at} and is step {at}")
        if found.function != function:
            was.append(f"it was {found.function} and is {function}")
        elif found.given != given:
            was.append("it was called with other arguments")
        for what in was:
            self.note(f"{found.step}: {what}")

    def note(self, what: str) -> None:
        """Note a difference. Raises WorkflowDrift if the run is strict."""
        if self._strict:
            raise WorkflowDrift(
                f"run {self._run!r} was begun by other code (version {self._version}): {what}"
            )
        self.differences.append(what)
        if not self._quiet:
            log.warning("run %s: the code has changed: %s", self._run, what)

    def functions_agree(self, name: str, function: str) -> None:
        """Raise WorkflowError when a step of this name is another function."""
        before = self._functions.setdefault(name, function)
        if before != function:
            raise WorkflowError(
                f"two steps are called {name!r}: {before} and {function}; give one of them another "
                "name: ctx.options(name=…).step(…)"
            )
