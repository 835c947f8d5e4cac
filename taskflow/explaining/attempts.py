"""When the attempts of a function begin that fails every time, and how long that takes at most."""

from collections.abc import Sequence

import msgspec

from taskflow.entry import Entry
from taskflow.retry import RetryPolicy


class Attempt(msgspec.Struct, frozen=True):
    """One attempt: when it begins, in seconds after the first one began, at the earliest (each one
    before failed at once, and jitter chose no wait) and at the latest."""

    number: int
    earliest: float
    latest: float | None


class Attempts(msgspec.Struct, frozen=True):
    """All attempts of an entry. `waits` is the most that lies between them together, `runs` what
    they take together at most, None without a time limit; `total` is both."""

    attempts: Sequence[Attempt]
    waits: float
    runs: float | None

    @property
    def total(self) -> float | None:
        """How long it takes at most from the first attempt's begin to the last one's end."""
        return None if self.runs is None else self.waits + self.runs


def attempts_of(entry: Entry) -> Attempts:
    """The attempts of an entry, by the most patient of its policies."""
    policy = max(_policies(entry.policy), key=lambda one: (one.retries, _waits(one)))
    found = [Attempt(1, 0.0, 0.0)]
    for number in range(1, policy.retries + 1):
        before, wait = found[-1], policy.ceiling(number)
        latest = None
        if before.latest is not None and entry.timeout is not None:
            latest = before.latest + entry.timeout + wait
        earliest = before.earliest + (0.0 if policy.jitter else wait)
        found.append(Attempt(number + 1, earliest, latest))
    runs = None if entry.timeout is None else entry.timeout * len(found)
    return Attempts(found, _waits(policy), runs)


def _policies(policy: RetryPolicy) -> Sequence[RetryPolicy]:
    return [policy, *(rule for rule in policy.rules.values() if rule is not None)]


def _waits(policy: RetryPolicy) -> float:
    return sum(policy.ceiling(number) for number in range(1, policy.retries + 1))
