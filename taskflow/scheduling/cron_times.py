"""Cron expressions: when they are due, by the rules of Debian's cron.

Five fields, or six with seconds first; names, steps, `L`, `#`, and the nicknames below. When clocks
change, a job with a fixed hour runs once: at the end of the gap if its time is in it, the first of
the two times if there are two. One whose hour or minute begins with `*` goes by real time. Six
fields do too.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from cronsim import CronSim, CronSimError

from taskflow.clock import find_zone, to_datetime, to_zone, zone_offset

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
STEP = 7 * 86400.0  # seconds: no zone has changed its clocks twice in a week
_SOME_DAY = 1_800_000_000.0
_LAST = 253_402_300_800.0  # the end of the year 9999


def check_cron(expression: str, zone: str) -> str:
    """The expression in fields. Raises ValueError for one that is none, that never is due, or for
    a zone that is not known here."""
    if not isinstance(expression, str):
        raise ValueError(f"cron is {expression!r}; text such as '0 9 * * mon-fri' is wanted")
    if not isinstance(zone, str):
        raise ValueError(f"tz is {zone!r}; a name such as 'Europe/Berlin' is wanted")
    find_zone(zone)
    return _checked(expression, zone)


@lru_cache(4096)
def _checked(expression: str, zone: str) -> str:
    """(Many schedules have the same expression. What is raised is not remembered.)"""
    fields = " ".join(expression.split())
    if fields.startswith("@"):
        if fields.lower() not in NICKNAMES:
            raise ValueError(
                f"cron is {expression!r}; of nicknames there are {', '.join(NICKNAMES)}"
            )
        fields = NICKNAMES[fields.lower()]
    try:
        first = next(cron_after(fields, zone, _SOME_DAY), None)
    except CronSimError as error:
        raise ValueError(
            f"cron is {expression!r}: {_why(str(error), fields)}; five fields are wanted (minute "
            "hour day month weekday), or six (second first), that are due on some day"
        ) from None
    if first is None:
        raise ValueError(f"cron is {expression!r}, which is due on no day of 50 years")
    return fields


def cron_after(fields: str, zone: str, moment: float) -> Iterator[float]:
    """The times (epoch seconds) later than a moment at which it is due, in order.

    Each depends on the moment before it alone: going on from there gives the same ones. Raises
    ValueError for a zone that is not known here.
    """
    find_zone(zone)
    found = _of_wall_clock if _is_fixed(fields) else _of_real_time
    try:
        yield from found(fields, zone, moment)
    except (OverflowError, ValueError):  # after the year 9999
        return


def _is_fixed(fields: str) -> bool:
    """Whether its hour is fixed, so that it goes by what clocks show. (As CronSim sees it.)"""
    parts = fields.split()
    return len(parts) == 5 and not parts[0].startswith("*") and not parts[1].startswith("*")


def _of_wall_clock(fields: str, zone: str, moment: float) -> Iterator[float]:
    last = moment
    for found in CronSim(fields, to_zone(moment // 1, zone)):
        tick = found.timestamp()
        if tick > last:  # of an hour that clocks show twice, the first was meant
            last = tick
            yield tick


def _of_real_time(fields: str, zone: str, moment: float) -> Iterator[float]:
    """Between two changes of its clocks a zone is as good as UTC. (CronSim would lose a time or
    two where clocks change by half an hour, or not on the hour: Lord Howe, Chatham. And UTC
    itself takes it little more than half the time of a zone of that name.)"""
    begin = since = moment // 1
    if zone == "UTC" and (minutes := _minutes_of_each_hour(fields)):
        yield from _in_each_hour(minutes, moment)
        return
    if zone == "UTC":
        yield from (found.timestamp() for found in CronSim(fields, to_datetime(begin)))
        return
    offset = zone_offset(since, zone)
    changed = True
    while changed:
        changed = False
        for found in CronSim(fields, to_datetime(begin + offset)):
            tick = found.timestamp() - offset
            if (change := _first_change(zone, since, tick)) is not None:
                begin, since, offset = change - 1.0, change, zone_offset(change, zone)
                changed = True
                break
            since = tick
            yield tick


@lru_cache(4096)
def _minutes_of_each_hour(fields: str) -> Sequence[int]:
    """The minutes of one that is due in each hour of each day; else none."""
    parts = fields.split()
    if len(parts) != 5 or any(part != "*" for part in parts[1:]):
        return ()
    return sorted(CronSim(fields, to_datetime(_SOME_DAY)).minutes)


def _in_each_hour(minutes: Sequence[int], moment: float) -> Iterator[float]:
    """(CronSim asks six fields of each time.)"""
    hour = moment // 3600 * 3600
    while hour < _LAST:
        for minute in minutes:
            tick = hour + minute * 60
            if tick > moment:
                yield tick
        hour += 3600


def _first_change(zone: str, start: float, end: float) -> float | None:
    """The second at which the clocks of a zone first change, after one time and not after another
    one; None when they do not."""
    offset = zone_offset(start, zone)
    while start < end:
        until = min(end, start + STEP)
        if zone_offset(until, zone) != offset:
            while until - start > 1.0:
                middle = (start + until) // 2
                if zone_offset(middle, zone) == offset:
                    start = middle
                else:
                    until = middle
            return until
        start = until
    return None


def _why(error: str, fields: str) -> str:
    if error.startswith("Wrong number"):
        count = len(fields.split())
        return f"it has {count} field{'s' if count != 1 else ''}"
    return error.replace("Bad ", "there is no such ")
