"""What every decorator asks of a function: its queue, retries and limits, checked in one place."""

import inspect
import re
from functools import partial
from typing import TypedDict

from taskflow.errors import BrokerError, RegistrationError
from taskflow.limits import (
    DLQ_SUFFIX,
    FIFO_SUFFIX,
    MAX_VISIBILITY,
    check_queue,
    check_seconds,
    dlq_of,
)
from taskflow.retry import RetryPolicy
from taskflow.signature import Handler

MAX_REMEMBERED = 14 * 86400.0


class Common(TypedDict):
    """What `Entry` is made of, beside the function itself."""

    queue: str
    policy: RetryPolicy
    timeout: float | None
    window: float
    visibility_timeout: float
    concurrency: int | None
    rate: float | None


def common_options(
    who: str,
    *,
    queue: str,
    retries: int | None,
    backoff: float | None,
    policy: RetryPolicy | None,
    timeout: float | None,
    window: float | None,
    visibility_timeout: float,
    concurrency: int | None,
    rate: str | float | None,
) -> Common:
    """The options of an entry, as `who` (a decorator) was given them; window None is off.

    Raises RegistrationError for whatever cannot be, saying how to mend it.
    """
    try:
        check_queue(queue)
        check_seconds("visibility_timeout", visibility_timeout, 1, MAX_VISIBILITY)
    except BrokerError as error:
        raise RegistrationError(f"{who}: {error}") from error
    if queue.removesuffix(FIFO_SUFFIX).endswith(DLQ_SUFFIX):
        raise RegistrationError(
            f"queue {queue!r}: names in {DLQ_SUFFIX} belong to dead-letter queues"
        )
    if len(dlq_of(queue)) > 80:
        raise RegistrationError(
            f"queue {queue!r} is too long by {len(dlq_of(queue)) - 80}: its dead-letter "
            f"queue is named {dlq_of(queue)}, and 80 characters are allowed"
        )
    if timeout is not None and not (isinstance(timeout, int | float) and timeout > 0):
        raise RegistrationError(f"timeout is {timeout!r}; seconds above 0, or None")
    if window is not None and not (
        isinstance(window, int | float) and 0 < window <= MAX_REMEMBERED
    ):
        raise RegistrationError(
            f"window is {window!r}; seconds above 0, {MAX_REMEMBERED:g} at most "
            "(idempotent=False switches it off)"
        )
    if concurrency is not None and (type(concurrency) is not int or concurrency < 1):
        raise RegistrationError(f"concurrency is {concurrency!r}; a whole number, 1 or more")
    return Common(
        queue=queue,
        policy=_policy(who, retries, backoff, policy),
        timeout=timeout,
        window=window or 0.0,
        visibility_timeout=visibility_timeout,
        concurrency=concurrency,
        rate=None if rate is None else parse_rate(rate),
    )


def parse_rate(rate: str | float) -> float:
    """Starts per second, from "100/s", "30/m", "1/h", or a number per second."""
    text = str(rate)
    number, _, unit = text.partition("/")
    try:
        per_second = float(number) / {"s": 1, "m": 60, "h": 3600}[unit or "s"]
    except (ValueError, KeyError):
        per_second = 0.0
    if not 0 < per_second < float("inf"):
        raise RegistrationError(f"rate is {rate!r}; examples: '100/s', '30/m', '1/h'")
    return per_second


def _policy(
    who: str, retries: int | None, backoff: float | None, policy: RetryPolicy | None
) -> RetryPolicy:
    if policy is not None:
        if retries is not None or backoff is not None:
            raise RegistrationError("give retries and backoff, or policy=RetryPolicy(…), not both")
        if not isinstance(policy, RetryPolicy):
            raise RegistrationError(f"policy is {policy!r}; a RetryPolicy, or leave it out")
        return policy
    short = {"retries": retries, "backoff": backoff}
    try:
        return RetryPolicy(**{name: value for name, value in short.items() if value is not None})  # type: ignore[arg-type]
    except (ValueError, TypeError) as error:
        raise RegistrationError(f"{who}: {error}") from error


def name_of(handler: Handler) -> str:
    """`module.function`, or what the object calls itself."""
    while isinstance(handler, partial):
        handler = handler.func
    module = getattr(handler, "__module__", "")
    name = getattr(handler, "__qualname__", type(handler).__qualname__)
    return re.sub(r"^(__main__)?\.", "", f"{module}.{name}")


def file_of(handler: Handler) -> str | None:
    """The file and line a function was written at."""
    code = getattr(inspect.unwrap(handler), "__code__", None)
    return None if code is None else f"{code.co_filename}, line {code.co_firstlineno},"
