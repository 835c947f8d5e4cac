"""A message in a worker's hands: one record from its receive until the broker knows its end."""

from dataclasses import dataclass, field
from enum import Enum

from taskflow.engine import Engine, Found
from taskflow.entry import Entry
from taskflow.message import Delivery
from taskflow.retry import Outcome, RetryPolicy
from taskflow.worker.timeouts import Running


class State(Enum):
    """Where a job stands. It is in one of these at any time, and only `Inflight` moves it."""

    RECEIVED = "received"
    """Held, and nothing else is known: whether it may run here is being asked."""
    WAITING = "waiting for its group"
    """An earlier message of its group is held and not done."""
    READY = "ready"
    """A thread may start it."""
    RUNNING = "running"
    """Its handler has it."""
    ENDED = "ended"
    """It has an outcome, which the broker has not been told."""
    RETURNED = "returned"
    """It will not run here: the broker is to have it back."""
    TELLING = "telling"
    """The broker is being told: its outcome, or that it comes back."""
    GONE = "gone"
    """The broker knows, or will find out when the lease ends; nobody holds it any more."""


@dataclass(slots=True, eq=False)
class Job:
    """A delivery with its handler, and what becomes of it. Compared by identity.

    `engine` and `found` are of a message that is no event: its engine has `found` what it is for.
    `duplicate`: the queue has finished this event before. `lease` is the seconds that its lease is
    extended by, 0 once an extension was refused. `started` is the clock's `elapsed`, `ended_at` in
    epoch seconds. `outcome` is there when it has ended.
    """

    delivery: Delivery
    entry: Entry | None
    policy: RetryPolicy
    engine: Engine | None = field(default=None, repr=False)
    found: Found | None = field(default=None, repr=False)
    duplicate: bool = False
    state: State = State.RECEIVED
    lease: float = 0.0
    started: float = 0.0
    running: Running | None = field(default=None, repr=False)
    outcome: Outcome = field(init=False, repr=False)
    ended_at: float = 0.0

    @property
    def has_outcome(self) -> bool:
        """Whether it has ended."""
        return hasattr(self, "outcome")

    @property
    def window(self) -> float:
        """For how long (seconds) its queue is to remember that it was finished."""
        if self.found is not None:
            return self.found.window
        return self.entry.window if self.entry else 0.0

    @property
    def slot(self) -> str | None:
        """Where it counts, which its message did not say."""
        return None if self.found is None else self.found.slot

    @property
    def handler(self) -> str:
        """The handler's name, `-` when there is none."""
        return self.entry.name if self.entry else "-"
