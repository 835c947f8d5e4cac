"""What a replay has found of one run."""

import msgspec

from taskflow.tasks.run import State


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """`drift`: how the code differs from what the run has kept, a line each; none is as it should
    be. `steps` are kept of it; `version` is that of the code which began it, 0 before that."""

    run: str
    workflow: str
    state: State
    version: int
    steps: int
    drift: list[str]
