"""What queues looked like: a point a minute for an hour, and a quarter of an hour for two days."""

from collections.abc import Sequence
from typing import Literal

import msgspec

Span = Literal["hour", "days"]
MINUTE, QUARTER = 60.0, 900.0
KEPT = {"hour": 3600.0, "days": 2 * 86400.0}
"""Seconds for which points are kept."""


EVERYTHING = ""
"""In place of a queue: what is told of all together."""


class Point(msgspec.Struct, frozen=True, array_like=True):
    """A queue at `at` (epoch seconds), the end of a minute or of a quarter of an hour.

    `visible`, `in_flight`, `delayed` and `dead` (what lies in its DLQ) are as they were then, `age`
    is how long the oldest had been there (seconds), `due_age` for how long that one had been due
    that was due the longest (None in points of older releases). `sent`, `handled`, `died` and
    `expired` are how many came, were acknowledged, were dead-lettered and were dropped by retention
    since the point before; None where there is none, or the store began anew. `sent` is reckoned
    from the others: what was purged meanwhile is missing in it. Points may be missing, while nobody
    was at work.

    Since the point before half of the first attempts began within `half_waited` seconds of when
    their message was sent (a delay included), and 99 of 100 within `most_waited`, rounded up by
    40 % at most; None where none is known to have begun. `releases` are those of the workers that
    reported. Of EVERYTHING these three alone are told, of queues all but the releases.
    """

    at: float
    visible: int
    in_flight: int
    delayed: int
    dead: int
    age: float
    sent: int | None
    handled: int | None
    died: int | None
    expired: int | None
    half_waited: float | None = None
    most_waited: float | None = None
    releases: Sequence[str] = ()
    due_age: float | None = None
