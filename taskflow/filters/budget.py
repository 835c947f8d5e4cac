"""How much work the filters of one publish may make: a body of many values meets many tests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from taskflow.errors import LimitExceeded

MOST = 2_000_000  # comparisons: some tenths of a second


class _Work(threading.local):
    left: int | None = None


_work = _Work()


@contextmanager
def limited(most: int = MOST) -> Iterator[None]:
    """Inside the block this thread's filters make so many comparisons at most."""
    before, _work.left = _work.left, most
    try:
        yield
    finally:
        _work.left = before


def spend(comparisons: int) -> None:
    """Count what is about to be compared. Raises LimitExceeded when that is too much."""
    if _work.left is None:
        return
    _work.left -= comparisons
    if _work.left < 0:
        raise LimitExceeded(
            f"the message has too many values for the filter policies of its topic: more than "
            f"{MOST} comparisons"
        )
