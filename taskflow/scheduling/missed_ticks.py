"""What is done about ticks whose time came while nobody was there to fire them."""

from typing import Literal, NamedTuple

from taskflow.scheduling.timing import Timing

Missed = Literal["last", "skip", "all"]
ON_TIME = 60.0  # seconds that a tick may be late without having been missed, for `skip`
LONGEST_CATCHUP = 3600.0  # seconds, unless a schedule says otherwise
MOST = 100  # ticks that are fired, or counted, at once


class Due(NamedTuple):
    """`fire` these ticks, oldest first; so many were `missed` (MOST are counted); `next` is the
    first that is still to come, None when there is none."""

    fire: list[float]
    missed: int
    next: float | None


def what_is_due(
    timing: Timing,
    missed: Missed,
    catchup: float | None,
    jitter: float,
    planned: float,
    now: float,
) -> Due:
    """What to fire of the ticks from `planned` until `now` (which is not earlier).

    `last`: the newest one, unless it is older than `catchup` (an hour, or the interval if that is
    shorter). `skip`: that one if it is on time. `all`: each, up to MOST of them, unless older than
    `catchup` if it was given. A tick may be late by `jitter` anyhow.
    """
    found, newest, after = [planned], planned, timing.next(planned)
    if after is not None and after <= now:  # hardly ever; the rest is kept quick
        found = timing.between(planned, now, MOST + 1)
        newest = found[-1]
        after = timing.next(newest)
    interval = 1e11 if after is None else after - newest
    if missed == "all":
        oldest = float("-inf") if catchup is None else now - catchup - jitter
        fire = [tick for tick in found if tick >= oldest][-MOST:]
    else:
        late = min(interval, LONGEST_CATCHUP) if catchup is None else catchup
        if missed == "skip":
            late = min(late, ON_TIME)
        fire = [tick for tick in found[-1:] if now - tick <= late + jitter]
    return Due(fire, len(found) - len(fire), after)
