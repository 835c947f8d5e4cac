"""What is kept of one step of a run."""

from typing import Literal

import msgspec

from taskflow.payload import reader
from taskflow.tasks.run import NULL, RunError

Kind = Literal["step", "transaction", "value", "send", "sleep", "wait", "runs"]


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The value of a step's record; its key ends in `step`, the step's id within the run.

    `at` is its place among the run's steps (from 1 on), `function` what was called and `given` a
    digest of its arguments: by them is seen that the code has changed. `done` and `failed` are for
    good. `started`: a step that runs at most once has begun; `retrying`: it failed `attempts`
    times, and is tried again; `waiting`: for a time (`until`, epoch seconds), a signal, or `size`
    runs. `time` is when it was written, `took` how long it ran, in seconds; `version` that of the
    code. `alone`: its one run is a call, not a list.
    """

    step: str
    at: int
    kind: Kind = "step"
    state: Literal["done", "failed", "started", "retrying", "waiting"] = "done"
    function: str = ""
    given: str = ""
    result: msgspec.Raw = NULL
    error: RunError | None = None
    kinds: tuple[str, ...] = ()
    attempts: int = 0
    until: float | None = None
    size: int = 0
    alone: bool = False
    time: float = 0.0
    took: float = 0.0
    version: int = 1

    @property
    def over(self) -> bool:
        """Whether it is never run again."""
        return self.state in ("done", "failed")


read_checkpoint = reader(Checkpoint, "a step of the run")
write_checkpoint = msgspec.json.Encoder().encode
