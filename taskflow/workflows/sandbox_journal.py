"""The steps of a run that is tried in a sandbox: none is run."""

from collections.abc import Mapping

import msgspec

from taskflow.broker import Broker
from taskflow.tasks.work import Work
from taskflow.workflows.checkpoint import Checkpoint
from taskflow.workflows.drift import Drift
from taskflow.workflows.journal import Journal
from taskflow.workflows.step_not_run import StepNotRun


class SandboxJournal(Journal):
    """What is kept answers as ever. Of the others those of `answers` (JSON, by step) answer that,
    as if it were kept; at one of which nothing is known the attempt ends (StepNotRun). A wait
    (`wait:NAME`) may be answered, too. The broker is the sandbox's own."""

    def __init__(
        self, broker: Broker, work: Work, *, version: int, answers: Mapping[str, msgspec.Raw]
    ) -> None:
        super().__init__(broker, work, version=version, strict=False)
        self.drift = Drift(self.run, self.durable.version, quiet=True)
        self._answers = answers

    def enter(self, name: str) -> tuple[str, int, Checkpoint | None]:
        """As of a journal."""
        step, at, found = super().enter(name)
        answer = self._answers.get(step)
        if answer is not None and (found is None or not found.over):
            found = Checkpoint(step=step, at=at, result=answer, size=1)
        return step, at, found

    def may_run(self, step: str) -> None:
        """Raise StepNotRun, from now on at each step."""
        with self.lock:
            self._broken = self._broken or StepNotRun(step)
            raise self._broken
