"""How a run ends, and what then: outcomes, backoff, decide(). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import msgspec

from taskflow import errors
from taskflow.limits import MAX_RECEIVES
from taskflow.text import encodable
from taskflow.tracebacks import format_exception


class Done(msgspec.Struct, frozen=True):
    """The handler returned, or had finished this event before.

    `value` is what an engine keeps of what it returned; `skipped` says why it was not called, or
    had nothing to do.
    """

    duplicate: bool = False
    error: None = None
    value: Any = None
    skipped: str | None = None


class Retry(msgspec.Struct, frozen=True):
    """The attempt failed; the message is hidden for `after` seconds, then tried again."""

    after: float
    error: BaseException


class Dead(msgspec.Struct, frozen=True):
    """The message goes to the dead-letter queue, with `reason`."""

    reason: str
    error: BaseException | None = None


Outcome = Done | Retry | Dead


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed attempt is tried again.

    At most `retries` + 1 attempts. Before retry n the message waits `backoff * factor**(n-1)`
    seconds, `maximum` at most; with `jitter` a random time between 0 and that ("full jitter",
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).

    `rules` maps exception types to what they call for instead: another RetryPolicy, or None for
    "dead-letter at once". The nearest type in the exception's MRO counts.
    Raises ValueError for numbers that cannot be.
    """

    retries: int = 3
    backoff: float = 1.0
    factor: float = 2.0
    maximum: float = 3600.0
    jitter: bool = True
    rules: Mapping[type[BaseException], "RetryPolicy | None"] = field(default_factory=dict)

    max_attempts: int = field(init=False, compare=False, repr=False)
    """The highest attempt number any rule lets run."""

    def __post_init__(self) -> None:
        if type(self.retries) is not int or not 0 <= self.retries < MAX_RECEIVES:
            raise ValueError(
                f"retries is {self.retries!r}; a whole number from 0 to {MAX_RECEIVES - 1}"
            )
        if not self.backoff >= 0 or not self.maximum >= 0:
            raise ValueError(
                f"backoff is {self.backoff!r} and maximum {self.maximum!r}; seconds, 0 or more"
            )
        if not self.factor >= 1:
            raise ValueError(f"factor is {self.factor!r}; 1 or more")
        rules = [rule.retries for rule in self.rules.values() if rule is not None]
        object.__setattr__(self, "max_attempts", max([self.retries, *rules]) + 1)

    def ceiling(self, attempt: int) -> float:
        """The longest wait (seconds) after attempt number `attempt` failed."""
        try:
            return min(self.maximum, self.backoff * self.factor ** (attempt - 1))
        except OverflowError:
            return self.maximum if self.backoff else 0.0

    def delay(self, attempt: int, random: Random) -> float:
        """How long (seconds) to wait after attempt number `attempt` failed."""
        ceiling = self.ceiling(attempt)
        return random.uniform(0, ceiling) if self.jitter else ceiling

    def rule_for(self, error: BaseException) -> "RetryPolicy | None":
        """The policy for this error: the nearest rule, or this one."""
        for kind in type(error).__mro__:
            if kind in self.rules:
                return self.rules[kind]
        return self


def decide(
    error: BaseException | None, attempt: int, policy: RetryPolicy, random: Random
) -> Outcome:
    """What follows from an attempt (1 is the first) that ended with `error`, or with none."""
    if error is None:
        return Done()
    if isinstance(error, errors.Reject):
        return Dead(encodable(error.reason), error)
    if isinstance(error, errors.DecodeError):
        return Dead(text_of(error), error)
    rule = policy.rule_for(error)
    if rule is None:
        return Dead(f"{type(error).__name__} is not retried", error)
    if attempt > rule.retries:
        return Dead(f"failed {attempt} times", error)
    if isinstance(error, errors.Retry) and error.after is not None:
        return Retry(error.after, error)
    return Retry(rule.delay(attempt, random), error)


def text_of(error: BaseException) -> str:
    """What the exception says, even when its own `__str__` fails."""
    try:
        return encodable(str(error))
    except BaseException:  # whatever it raises, it is the text of an error that is wanted
        return "<its __str__ failed>"


def describe(error: BaseException, most: int = 8000) -> dict[str, str]:
    """An exception as data for a failure record: type, text, and the end of the traceback. A
    `Retry` that was raised from another one is that one: it only says when."""
    named = error
    if isinstance(error, errors.Retry) and error.__cause__ is not None:
        named = error.__cause__
    kind = type(named)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    try:
        trace = encodable(format_exception(error))
    except BaseException:
        trace = "<its traceback cannot be written>"
    return {
        "error": f"{module}{kind.__qualname__}",
        "message": text_of(named)[:most],
        "traceback": trace[-most:],
    }
