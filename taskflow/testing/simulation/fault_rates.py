"""How often which fault happens in a simulation."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Faults:
    """How often a fault happens where it can: 0 never, 1 always. Raises ValueError outside of that.

    `crashes`: the worker dies before the handler, at its calls of the broker and its checkpoints,
    or before or after the acknowledgement. `stalls`: it stands still until its lease is over, and
    another one has the message. `duplicates`: an acknowledgement is lost, so that what was done is
    done again. `errors`: a call of the broker raises BrokerUnavailable, before it was heard or
    after. `delays`: a message comes later than it could, after others that were sent later.
    `clock_steps`: the clock is set by some seconds, back or forth.

    A message meets one of those that cost an attempt, and none that would be its last.
    """

    crashes: float = 0.0
    stalls: float = 0.0
    duplicates: float = 0.0
    errors: float = 0.0
    delays: float = 0.0
    clock_steps: float = 0.0

    def __post_init__(self) -> None:
        for one in fields(self):
            rate = getattr(self, one.name)
            if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
                raise ValueError(f"Faults({one.name}={rate!r}): a rate from 0 to 1 is wanted")


CHAOS = Faults(
    crashes=0.06, stalls=0.06, duplicates=0.15, errors=0.06, delays=0.2, clock_steps=0.01
)
"""What `--taskflow-chaos` and `@chaos` do."""
