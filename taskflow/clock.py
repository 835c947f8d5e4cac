"""Time as an argument: the one file that reads a clock or waits on one."""

import math
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache, lru_cache
from threading import Condition
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


class Clock(Protocol):
    """Tells the time and waits. Handed to the broker, the worker and the outbox relay."""

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        ...

    def elapsed(self) -> float:
        """Seconds since some moment, that only go on: for durations. `now` may be set back or
        forward while something runs; this may not."""
        ...

    def wait(self, condition: Condition, timeout: float | None) -> bool:
        """Wait on a condition the caller holds; False when `timeout` seconds passed first.

        May return early without a notification: callers look again at what they wait for.
        """
        ...


class SystemClock:
    """The machine's clock. `time.time` is looked up at each call, so freezegun works."""

    def now(self) -> float:
        return time.time()

    def elapsed(self) -> float:
        return time.monotonic()

    def wait(self, condition: Condition, timeout: float | None) -> bool:
        return condition.wait(timeout)


def rfc3339(seconds: float) -> str:
    """Epoch seconds as RFC 3339 in UTC with microseconds: `2026-01-31T12:00:00.000000Z`."""
    whole, micros = divmod(round(seconds * 1_000_000), 1_000_000)
    return "%s.%06dZ" % (_to_the_second(whole), micros)  # noqa: UP031  # quicker than f""


def rfc3339_each(moments: Iterable[float]) -> list[str]:
    """Each of these as `rfc3339` writes it."""
    last, text, written = -1, "", []
    for seconds in moments:
        moment = round(seconds * 1_000_000)
        whole = moment // 1_000_000
        if whole != last or not text:
            last, text = whole, _to_the_second(whole)
        written.append("%s.%06dZ" % (text, moment % 1_000_000))  # noqa: UP031  # as above
    return written


@lru_cache(8)
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:-6]


def from_rfc3339(text: str) -> float:
    """Epoch seconds of an RFC 3339 time. Raises ValueError when it is none or has no offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; write 2026-01-31T12:00:00Z")
    return moment.timestamp()


Instant = float | datetime
"""A moment: epoch seconds, or a datetime with a time zone."""


def epoch_seconds(what: str, moment: Instant) -> float:
    """Epoch seconds of a moment. Raises TypeError, or ValueError for a datetime that does not say
    where it is meant, and for what is no number; they name `what`."""
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise ValueError(f"{what} is {moment}, without a time zone; datetime.now(UTC) has one")
        return moment.timestamp()
    if isinstance(moment, bool) or not isinstance(moment, int | float):
        raise TypeError(f"{what} is {moment!r}; epoch seconds or a datetime with a time zone")
    if not math.isfinite(moment):
        raise ValueError(f"{what} is {moment}; a finite number of epoch seconds")
    return float(moment)


def to_datetime(seconds: float) -> datetime:
    """Epoch seconds as a datetime in UTC, for libraries that want one."""
    return datetime.fromtimestamp(seconds, UTC)


@cache
def find_zone(name: str) -> "ZoneInfo":
    """A time zone by its name (`Europe/Berlin`). Raises ValueError for one that this machine does
    not know."""
    from zoneinfo import ZoneInfo  # few need it, and it is long in coming

    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # what is no name may be a folder, or a path
        raise ValueError(
            f"the time zone {name!r} is not known here; they are called as 'Europe/Berlin' is, and "
            "where the system has none, they come with: pip install tzdata"
        ) from None


def to_zone(seconds: float, zone: str) -> datetime:
    """Epoch seconds as what the clocks of a time zone show. Raises ValueError as `find_zone`, and
    for a year after 9999."""
    try:
        return datetime.fromtimestamp(seconds, find_zone(zone))
    except OverflowError as error:
        raise ValueError(f"{seconds} is no time: {error}") from None


def zone_offset(seconds: float, zone: str) -> float:
    """By how many seconds the clocks of a time zone are before UTC at that time."""
    offset = to_zone(seconds, zone).utcoffset()
    return 0.0 if offset is None else offset.total_seconds()


def moment_in_zone(what: str, moment: Instant | str, zone: str) -> float:
    """Epoch seconds of a moment, which may be text as well: `2026-12-01T09:00`, in that time zone
    if it says none. Raises as `epoch_seconds`, and ValueError for text that is no time."""
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            raise ValueError(
                f"{what} is {moment!r}, which is no time; example: '2026-12-01T09:00'"
            ) from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=find_zone(zone))
    return epoch_seconds(what, moment)
