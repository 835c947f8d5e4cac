"""Durations as people write them: 90, 1.5, "90s", "15m", "2h", "1d", or a timedelta."""

from typing import Protocol

EXAMPLES = "examples: 90, 1.5, '90s', '15m', '2h', '1d', timedelta(hours=2)"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Span(Protocol):
    """What a `datetime.timedelta` is."""

    def total_seconds(self) -> float: ...


Duration = float | str | Span


def seconds_of(what: str, value: Duration) -> float:
    """A duration in seconds. Raises ValueError, naming `what` and the value, for what is none."""
    text = str(value.total_seconds() if not isinstance(value, int | float | str) else value)
    unit = _UNITS.get(text[-1:])
    try:
        seconds = float(text if unit is None else text[:-1]) * (unit or 1)
    except ValueError:
        seconds = -1.0
    if isinstance(value, bool) or not 0 <= seconds < float("inf"):
        raise ValueError(f"{what} is {value!r}, which is no duration; {EXAMPLES}")
    return seconds
