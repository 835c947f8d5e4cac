"""Fewer faults that do the same: delta debugging, with an end."""

from collections.abc import Callable, Sequence

MOST_RUNS = 80


def shortest(
    faults: Sequence[str], fails: Callable[[Sequence[str]], Sequence[str] | None]
) -> Sequence[str]:
    """The fewest of these under which a test was found to fail. `fails` runs it under some, and
    answers those that happened, None when it did not fail; it is called 80 times at most. The last
    call that failed was for what is answered.

    Zeller, Hildebrandt: Simplifying and isolating failure-inducing input (2002).
    """
    runs = 0

    def under(some: Sequence[str]) -> Sequence[str] | None:
        nonlocal runs
        runs += 1
        return fails(some)

    if (found := under(())) is not None:
        return found
    best, parts = faults, 2
    while len(best) > 1 and runs < MOST_RUNS:
        size = -(-len(best) // parts)
        for begin in range(0, len(best), size):
            fewer = [*best[:begin], *best[begin + size :]]
            if runs < MOST_RUNS and (found := under(fewer)) is not None:
                best, parts = found, max(2, parts - 1)
                break
        else:
            if size == 1:
                break
            parts = min(len(best), parts * 2)
    return best
