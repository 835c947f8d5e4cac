"""Why dead letters are dead: those of one DLQ that died of the same."""

from collections.abc import Sequence

import msgspec

HOURS = 24
"""Of how many hours a cause knows how many died of it."""


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """The dead letters of one DLQ that came from one queue, one handler, one type of exception and
    one place. Times in epoch seconds.

    `id` names it, and is the same in every process and after every restart. `queue` is the DLQ,
    `source` the queue that they came from. `handler` is None where none was found; `error` (its
    full name) and `place` (`shop/orders.py:42 in charge`, the last frame of the traceback that is
    neither Python's, nor an installed package's) where no exception was raised. `reason` is the
    reason of a failure record without what changes from one to the next (`received N times and
    never finished: ...`); where the broker itself found a message worn out, that is all there is.
    `count` is how many there are, `first_at` and `last_at` when the first and the last of those
    died, `sample` the id of the last. `trend` is how many died of it in each of the last 24 hours,
    the oldest first; also those that are gone.
    """

    id: str
    queue: str
    source: str
    handler: str | None
    error: str | None
    place: str | None
    reason: str
    count: int
    first_at: float
    last_at: float
    sample: str
    trend: Sequence[int] = ()
