"""A queue as an operator looks at it, with the dead letters that came from it."""

from typing import Literal, NamedTuple

from taskflow.broker import QueueCounts

BEHIND = 60.0  # seconds that the oldest due message may wait before the queue is to be watched

Sign = Literal["bad", "warn", "hold", "run", "idle", ""]
"""How a state is marked: needs a person, to watch, is willed, at work, nothing to do, fine."""


class QueueView(NamedTuple):
    """`backlog`: how long (seconds) the oldest due message has waited, None when none is due.
    `incoming` and `outgoing` are a second, None while they are not known. `workers` report that
    they work on it. `letters` are in its dead-letter queue `dlq`."""

    name: str
    group: str
    counts: QueueCounts
    dlq: str | None = None
    letters: int = 0
    workers: int = 0
    incoming: float | None = None
    outgoing: float | None = None

    @property
    def backlog(self) -> float | None:
        """How long the oldest due message has waited."""
        return self.counts.due_age_seconds if self.counts.visible else None

    @property
    def held(self) -> int:
        """All that it holds."""
        return self.counts.visible + self.counts.in_flight + self.counts.delayed

    @property
    def is_unworked(self) -> bool:
        """Whether something waits and nobody takes it."""
        late = (self.backlog or 0.0) > BEHIND
        return late and not (self.workers or self.outgoing or self.counts.in_flight or self.paused)

    @property
    def paused(self) -> bool:
        """Whether nobody may receive from it."""
        return self.counts.paused

    @property
    def is_behind(self) -> bool:
        """Whether what is due waits too long, although somebody works on it."""
        late = (self.backlog or 0.0) > BEHIND
        return late and not (self.paused or self.is_unworked)

    @property
    def is_idle(self) -> bool:
        """Whether it holds nothing and nothing happens."""
        return not (self.held or self.incoming or self.outgoing or self.letters or self.paused)

    @property
    def state(self) -> tuple[Sign, str]:
        """Its sign and its word."""
        if self.is_unworked:
            return "bad", "no worker"
        if self.paused:
            return "hold", "paused"
        if self.is_behind:
            return "warn", "behind"
        if self.held or self.outgoing:
            return "", "working"
        return "idle", "idle"

    @property
    def rank(self) -> tuple[int, float, float]:
        """Worst and busiest first."""
        sign = {"bad": 0, "warn": 2, "hold": 3}.get(self.state[0], 4)
        worst = min(sign, 1 if self.letters else 4)
        return worst, -(self.backlog or 0.0), -float(self.held + self.letters)

    @property
    def until_empty(self) -> float | None:
        """In how many seconds nothing waits any more, as it goes now; None when it never will."""
        gain = (self.outgoing or 0.0) - (self.incoming or 0.0)
        return self.counts.visible / gain if gain > 0 and self.counts.visible else None
