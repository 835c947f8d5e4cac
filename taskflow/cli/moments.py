"""Times as people write them on the command line."""

import math

import click

from taskflow.clock import from_rfc3339
from taskflow.durations import seconds_of

EXAMPLES = "2026-01-31T12:00:00Z, or epoch seconds"
MOST_AGO = 3650 * 86400.0  # seconds; a larger number is a time


def read_moment(option: str, text: str) -> float:
    """Epoch seconds of a time with its zone, or of epoch seconds. Raises UsageError."""
    try:
        return from_rfc3339(text)
    except ValueError as error:
        why = error
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if math.isfinite(seconds):
        return seconds
    zone = f": {why}" if "time zone" in str(why) else ""
    raise click.UsageError(f"{option} is {text!r}, which is no time{zone}; write {EXAMPLES}")


def read_since(option: str, text: str, now: float) -> float:
    """Epoch seconds of a time, or of so long before `now`: 90, 15m, 2h, 1d. Raises UsageError."""
    try:
        ago = seconds_of(option, text)
    except ValueError:
        ago = math.inf
    return now - ago if ago <= MOST_AGO else read_moment(option, text)
