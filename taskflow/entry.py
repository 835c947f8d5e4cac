"""What a registry holds, and a worker runs: functions, each with how it wants to be run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from taskflow.broker.settings import Limit
from taskflow.event import Context
from taskflow.retry import RetryPolicy
from taskflow.signature import Handler


class Arguments(NamedTuple):
    """What one run of a function is called with."""

    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A function that a queue's messages are for, whatever kind they are.

    `timeout` and `window` in seconds; `window` is how long a finished message is remembered, 0
    when it need not be. `concurrency`: runs at once in a process; `rate`: starts per second in
    all processes; None for no limit.
    """

    queue: str
    handler: Handler
    name: str
    policy: RetryPolicy
    timeout: float | None
    window: float
    visibility_timeout: float
    concurrency: int | None
    rate: float | None
    is_async: bool
    limit: Limit | None = None
    """What holds for its slots (`Message.slot`), which have its names, over all workers."""
    spare_receives: int = 0
    """How many receives beyond the last attempt its queue allows before it buries a message itself:
    with one, a worker sees what was never finished, and can say so where it is asked for."""

    @property
    def names(self) -> Sequence[str]:
        """What its slots may be called."""
        return (self.name,)

    def arguments(self, context: Context) -> Arguments:
        """What this run is called with."""
        raise NotImplementedError
