"""How many took how long: counts by numbers, each of which stands for a bound in seconds."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping

SHORTEST, LONGEST = -20, 42  # the numbers of bounds: 1 ms and 24 d


def bound(number: int) -> float:
    """The seconds that those of a number took at most; each is 1.4 times the one before."""
    return float(2.0 ** (number / 2))


_BOUNDS = [bound(number) for number in range(SHORTEST, LONGEST)]


def number_of(seconds: float) -> int:
    """The number under which so long is counted."""
    return SHORTEST + bisect_left(_BOUNDS, seconds)


def added(counts: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Several counts as one."""
    found: dict[int, int] = {}
    for one in counts:
        for number, count in one.items():
            found[number] = found.get(number, 0) + count
    return found


def number_within(counts: Mapping[int, int], part: float) -> int | None:
    """The number within whose bound such a part of all was done; None when there were none."""
    left = part * sum(counts.values())
    for number in sorted(counts):
        left -= counts[number]
        if counts[number] and left <= 0:
            return number
    return None


def within(counts: Iterable[Mapping[int, int]], part: float) -> float | None:
    """Within how many seconds such a part of all was done, rounded up to the next bound; None when
    there were none."""
    number = number_within(added(counts), part)
    return None if number is None else bound(number)
