"""Where an attempt in a sandbox ends."""

from taskflow.workflows.interrupted import Interrupted


class StepNotRun(Interrupted):
    """The code has come to a step of which nothing is kept, and which is not run here."""

    def __init__(self, step: str) -> None:
        super().__init__(f"step {step!r} is not run in a sandbox")
        self.step = step
