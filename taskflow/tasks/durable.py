"""What a run keeps that goes on after it has waited: its steps are records of their own."""

import msgspec

STEP = "step"
"""The kind of the records of steps. `parent` is the run at the root, `label` the run's own life."""
SIGNAL = "signal"
"""The kind of the records of signals that nobody has taken yet."""


class Durable(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`version` of the code that began it, 0 before that. `life` counts how often it was begun anew
    (`restart`): steps are of one life. `awaits`: the names of the signals that wake it. `nudges`
    counts what may concern it and came while it did not wait: it looks again before it waits.
    `on_cancel` (task, queue) is called when it is cancelled."""

    version: int = 0
    life: int = 0
    awaits: tuple[str, ...] = ()
    nudges: int = 0
    on_cancel: tuple[str, str] | None = None


class Suspended(msgspec.Struct, kw_only=True):
    """How a run waits: nothing of it is in a worker, or in flight, meanwhile.

    `delay`: it goes on after so many seconds, whatever happens; `due_at` (epoch seconds): then at
    the latest, `awaits`: at one of these signals. `counts`: keys of records of steps, and what is
    to be added to the count of each; it goes on when one of them is down to 0. `nudges` are those
    that it knew of. `anew`: it is begun again from its first line with these arguments (JSON).
    """

    delay: float | None = None
    due_at: float | None = None
    awaits: tuple[str, ...] = ()
    counts: dict[str, int] = {}
    nudges: int = 0
    anew: tuple[bytes, bytes] | None = None

    def or_else(self, other: "Suspended", now: float) -> "Suspended":
        """To go on when either of them would."""
        dues = [
            one.due_at if one.delay is None else now + one.delay
            for one in (self, other)
            if one.delay is not None or one.due_at is not None
        ]
        return Suspended(
            due_at=min((due for due in dues if due is not None), default=None),
            awaits=(*self.awaits, *other.awaits),
            counts=self.counts | other.counts,
            nudges=self.nudges,
        )


class Leaving(BaseException):
    """Raised through the function of a run that is to wait. No Exception, so that none of its
    `except Exception` takes it for a failure; `finally` blocks run."""

    def __init__(self, how: Suspended) -> None:
        self.how = how
        super().__init__("the run waits; let this pass")


def life_of(run: str, durable: Durable) -> str:
    """What the steps of a run's present life are labelled with."""
    return run if not durable.life else f"{run}^{durable.life}"
