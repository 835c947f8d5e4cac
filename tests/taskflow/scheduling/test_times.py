"""When schedules are due: the table of five libraries, and what no zone may do."""

import os
import random
import zoneinfo
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskflow.scheduling.cron_times import NICKNAMES, check_cron, cron_after
from taskflow.scheduling.timing import Timing

LONG = bool(os.environ.get("TASKFLOW_TEST_ZONES"))
BEGIN = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
HOUR, DAY = 3600.0, 86400.0


def times(cron: str, tz: str, begin: str, hours: float) -> list[str]:
    """When it is due after a local time, for so many hours, as the clocks there show it."""
    zone = zoneinfo.ZoneInfo(tz)
    start = datetime.fromisoformat(begin).replace(tzinfo=zone).timestamp()
    found: list[str] = []
    for tick in cron_after(cron, tz, start - 1):
        if tick >= start + hours * HOUR:
            return found
        found.append(datetime.fromtimestamp(tick, zone).strftime("%H:%M%z"))
    return found


BERLIN, LORD_HOWE = "Europe/Berlin", "Australia/Lord_Howe"
ALL_IN_FIVE = ["00:00+0200", "01:00+0200", "02:00+0200", "02:00+0100", "03:00+0100"]
HALVES = [
    *("00:00+0200", "00:30+0200", "01:00+0200", "01:30+0200", "02:00+0200", "02:30+0200"),
    *("02:00+0100", "02:30+0100", "03:00+0100"),
]


@pytest.mark.parametrize(
    ("cron", "tz", "begin", "hours", "expected"),
    [
        ("30 2 * * *", BERLIN, "2026-03-29T00:00", 23, ["03:00+0200"]),
        ("30 2 * * *", BERLIN, "2026-10-25T00:00", 25, ["02:30+0200"]),
        ("0 * * * *", BERLIN, "2026-10-25T00:00", 5, ALL_IN_FIVE),
        ("*/30 * * * *", BERLIN, "2026-10-25T00:00", 4.5, HALVES),
        ("15 2 * * *", LORD_HOWE, "2026-10-04T00:00", 23, ["02:30+1100"]),
        ("0 */2 * * *", BERLIN, "2026-10-25T01:00", 4, ["02:00+0200", "02:00+0100"]),
        ("0 */3 * * *", LORD_HOWE, "2026-04-05T00:00", 5, ["00:00+1100", "03:00+1030"]),
    ],
)
def test_cases_43_and_46_the_changes_of_clocks(
    cron: str, tz: str, begin: str, hours: float, expected: list[str]
) -> None:
    assert times(cron, tz, begin, hours) == expected


@pytest.mark.parametrize("minutes", ["*", "0", "59", "*/7", "3-50/11", "1,2,58"])
@given(st.floats(BEGIN - DAY, BEGIN + DAY) | st.integers(-2, 50).map(lambda n: BEGIN + 30.0 * n))
def test_what_is_due_in_each_hour_is_what_cronsim_finds(minutes: str, moment: float) -> None:
    """With 24 hours named, each of them is searched for."""
    searched = cron_after(f"{minutes} 0-23 * * *", "UTC", moment)
    found = cron_after(f"{minutes} * * * *", "UTC", moment)
    assert list(islice(found, 70)) == list(islice(searched, 70))


def test_hours_end_with_the_year_9999() -> None:
    last = datetime(9999, 12, 31, 23, 30, tzinfo=UTC).timestamp()
    assert [tick - last for tick in cron_after("15,45 * * * *", "UTC", last)] == [900.0]


def test_sunday_is_0_and_7() -> None:
    for day in ("0", "7", "sun"):
        (first,) = islice(cron_after(f"0 0 * * {day}", "UTC", BEGIN), 1)
        assert datetime.fromtimestamp(first, UTC).weekday() == 6


def test_case_44_a_schedule_never_stops_at_the_end_of_summer() -> None:
    start = datetime(2026, 10, 24, tzinfo=UTC).timestamp()
    ticks = list(islice(cron_after("*/10 * * * *", BERLIN, start), 300))
    assert {two - one for one, two in pairwise(ticks)} == {600.0}


@pytest.mark.parametrize(
    ("cron", "tz", "says"),
    [
        ("0 0 31 2 *", "UTC", "there is no such day-of-month"),
        ("0 0 30 2 *", "UTC", "there is no such day-of-month"),
        ("61 * * * *", "UTC", "there is no such minute"),
        ("* * * *", "UTC", "it has 4 fields"),
        ("", "UTC", "it has 0 fields"),
        ("0 0 * * fri-mon", "UTC", "there is no such day-of-week"),
        ("@reboot", "UTC", "@yearly"),
        ("*/0 * * * *", "UTC", "there is no such minute"),
        ("0 0 * * *", "Europe/Nowhere", "pip install tzdata"),
        ("0 0 * * *", "../../etc/passwd", "pip install tzdata"),
        ("0 0 * * *", "Europe", "pip install tzdata"),
        ("0 0 * * *", "", "pip install tzdata"),
    ],
)
def test_what_is_never_due_is_refused(cron: str, tz: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_cron(cron, tz)


@pytest.mark.parametrize("nickname", NICKNAMES)
def test_nicknames(nickname: str) -> None:
    assert check_cron(nickname.upper(), "UTC") == NICKNAMES[nickname]


@given(
    every=st.one_of(st.integers(1, 10**6), st.floats(1.0, 1e6)),
    moment=st.floats(-1e9, 4e9),
)
def test_intervals_are_of_the_epoch(every: float, moment: float) -> None:
    timing = Timing(every=float(every))
    tick = timing.next(moment)
    assert tick is not None
    assert moment < tick <= moment + every * (1 + 1e-9)
    assert tick == round(tick / every) * every
    assert timing.next(tick) > tick  # type: ignore[operator]


def test_case_56_thirty_days_without_drift() -> None:
    timing, now = Timing(every=10.0), BEGIN
    for _ in range(int(30 * DAY / 10)):
        now = timing.next(now + 0.3) or 0.0  # each time it was fired a little late
    assert now == BEGIN + 30 * DAY


FIELDS = st.sampled_from(
    ["0 * * * *", "*/7 * * * *", "30 2 * * *", "0 0 * * *", "15 1,2,3 * * sun", "0 */5 1 * *"]
)


@given(cron=FIELDS, moment=st.floats(1.7e9, 2e9), zone=st.sampled_from([BERLIN, LORD_HOWE, "UTC"]))
def test_case_47_next_is_later_and_depends_on_the_moment_alone(
    cron: str, moment: float, zone: str
) -> None:
    some = list(islice(cron_after(cron, zone, moment), 5))
    assert all(one < two for one, two in pairwise([moment, *some]))
    timing = Timing(cron=cron, tz=zone)
    again = moment
    for tick in some:
        assert timing.next(again) == tick
        assert timing.next((again + tick) / 2) == tick
        assert next(cron_after(cron, zone, again)) == tick
        again = tick


@given(every=st.integers(1, 5000), first=st.integers(0, 10**5), length=st.integers(0, 10**5))
def test_the_last_ticks_before_a_moment(every: int, first: int, length: int) -> None:
    last = first + length
    expected = [float(one) for one in range(first, last + 1) if one % every == 0]
    assert Timing(every=float(every)).between(first, last, 7) == expected[-7:]


def test_the_last_ticks_of_a_rare_expression() -> None:
    timing = Timing(cron="0 9 1 1 *", tz=BERLIN)
    found = timing.between(BEGIN, BEGIN + 4 * 366 * DAY, 3)
    assert [datetime.fromtimestamp(one, UTC).year for one in found] == [2028, 2029, 2030]
    assert timing.between(BEGIN + DAY, BEGIN + 2 * DAY, 3) == []


# ---- every zone with a change in five years -----------------------------------------------------
Changes = tuple[tuple[int, int], ...]


def offset(zone: zoneinfo.ZoneInfo, moment: float) -> int:
    found = datetime.fromtimestamp(moment, zone).utcoffset()
    assert found is not None
    return int(found.total_seconds())


def changes_of(name: str) -> Changes:
    """When a zone's clocks change in five years, to what."""
    zone, found = zoneinfo.ZoneInfo(name), []
    for week in range(5 * 53):
        low, high = BEGIN + week * 7 * DAY, BEGIN + (week + 1) * 7 * DAY
        if offset(zone, low) == offset(zone, high):
            continue
        before = offset(zone, low)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(zone, middle) == before else (low, middle)
        found.append((int(high), offset(zone, high)))
    return tuple(found)


def zones() -> list[tuple[str, Changes]]:
    """One zone of each set of changes; all of them in the long form."""
    names = sorted(zoneinfo.available_timezones() - {"localtime"})
    if not LONG:
        some = random.Random(43).sample(names, 30)
        names = sorted({*some, BERLIN, LORD_HOWE, "Pacific/Chatham", "America/Santiago"})
    by_changes = {changes_of(name): name for name in names}
    return [(name, changes) for changes, name in by_changes.items() if changes]


def test_case_43_every_zone_with_a_change() -> None:
    """A job with a fixed hour runs once for each day, not earlier than its time and at most by the
    gap later; one of every hour runs each real hour."""
    for name, changes in zones():
        zone = zoneinfo.ZoneInfo(name)
        for at, _ in changes if LONG else changes[:2]:
            for hour in range(24) if LONG else (0, 1, 2, 3, 23):
                _once_a_day(zone, name, at, f"30 {hour} * * *")
            _each_match(zone, name, at, "0 */2 * * *", lambda d: d.minute == 0 and d.hour % 2 == 0)
            _each_match(
                zone, name, at, "*/15 2 * * *", lambda d: d.minute % 15 == 0 and d.hour == 2
            )


def _once_a_day(zone: zoneinfo.ZoneInfo, name: str, at: int, cron: str) -> None:
    hour = int(cron.split()[1])
    ticks = list(islice(cron_after(cron, name, at - 3 * DAY), 7))
    assert all(one < two for one, two in pairwise(ticks))
    days = []
    for tick in ticks:
        shown = datetime.fromtimestamp(tick, zone)
        wall = shown.replace(tzinfo=None)
        planned = wall.replace(hour=hour, minute=30, second=0, fold=0)
        if planned > wall:  # its time was in a gap that ended at midnight, or later
            planned -= timedelta(days=1)
        assert 0 <= (wall - planned).total_seconds() <= 2 * HOUR, (name, cron, shown)
        assert shown.fold == 0
        days.append(planned.date())
    assert len(set(days)) == len(days)
    assert (days[-1] - days[0]).days == len(days) - 1


def _each_match(zone: zoneinfo.ZoneInfo, name: str, at: int, cron: str, fits: object) -> None:
    assert callable(fits)
    begin, end = at - 6 * HOUR, at + 6 * HOUR
    first = int(begin // 60 + 1) * 60
    wanted = [one for one in range(first, int(end), 60) if fits(datetime.fromtimestamp(one, zone))]
    found = []
    for tick in cron_after(cron, name, begin):
        if tick >= end:
            break
        found.append(tick)
    assert found == wanted, (name, cron)
