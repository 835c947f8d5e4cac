"""What came to a list while it was read: it is offered, and moves nothing."""

from math import isfinite
from typing import NamedTuple

from taskflow.dashboard.answer import Refused

MOST_CAME = 100
"""As many are counted."""


class Came(NamedTuple):
    """How many came, and whether there are more."""

    number: int
    more: bool


NOTHING_CAME = Came(0, False)


def read_moment(text: str) -> float:
    """When the first or last row of a page was made (epoch seconds), as its address says it. Raises
    Refused."""
    try:
        moment = float(text)
    except ValueError:
        moment = float("nan")
    if not isfinite(moment):
        raise Refused(400, "The address names no place to go on from.", ("Begin anew.",))
    return moment
