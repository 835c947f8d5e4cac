"""What may be said of a step: its name, how it is retried, and what it may do twice."""

import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple, get_type_hints

import msgspec

from taskflow import payload as json
from taskflow.durations import Duration, seconds_of
from taskflow.retry import RetryPolicy
from taskflow.tasks.task import TaskBase

_NAME = re.compile(r"[A-Za-z0-9._<>-]{1,100}")
MAX_KEY = 256  # characters


class StepOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Checked. `timeout` in seconds, None for none."""

    name: str | None = None
    key: str | None = None
    policy: RetryPolicy = RetryPolicy(0)
    timeout: float | None = None
    at_most_once: bool = False

    def name_of(self, function: Callable[..., Any]) -> str:
        """What the step is called, without its key and the number of its repeat. Raises ValueError
        for a function that has no name to tell it by."""
        name = self.name or names_of(function).short
        if name is None:
            raise ValueError(
                f"{function!r} has no name that a step could have; ctx.options(name=…).step(…)"
            )
        return name


PLAIN = StepOptions()


def check_step_options(
    *,
    name: str | None,
    key: object,
    retries: int,
    backoff: float,
    policy: RetryPolicy | None,
    timeout: Duration | None,
    at_most_once: bool,
) -> StepOptions:
    """Options as they were given. Raises ValueError for what cannot be."""
    if name is not None and not _NAME.fullmatch(name):
        raise ValueError(
            f"a step's name is {name!r}; 1 to 100 letters, digits and . _ - are allowed"
        )
    text = None if key is None else str(key)
    if text is not None and not (1 <= len(text) <= MAX_KEY and text.isprintable()):
        raise ValueError(
            f"a step's key is {text!r}; 1 to {MAX_KEY} characters that can be printed are allowed"
        )
    if at_most_once and (retries or policy is not None):
        raise ValueError("a step runs at most once, or is retried: give at_most_once or retries")
    return StepOptions(
        name=name,
        key=text,
        policy=policy or RetryPolicy(retries, backoff),
        timeout=None if timeout is None else seconds_of("timeout", timeout),
        at_most_once=at_most_once,
    )


class Names(NamedTuple):
    """What a function is called: `short` without its module, None for one that has no name to tell
    it by."""

    short: str | None
    long: str


@lru_cache(1024)
def names_of(function: Callable[..., Any]) -> Names:
    """Of a function, or the one within a partial."""
    while isinstance(function, partial):
        function = function.func
    short = str(getattr(function, "__name__", type(function).__name__))
    name = getattr(function, "__qualname__", type(function).__qualname__)
    told = "<" not in short and _NAME.fullmatch(short)
    return Names(short if told else None, f"{getattr(function, '__module__', '?')}.{name}")


@lru_cache(1024)
def decoder_of(function: Callable[..., Any]) -> json.Decode:
    """From the JSON of what a function returned to the type that it says it returns."""
    if isinstance(function, TaskBase):
        return json.decoder(function.parameters.returns)
    inner = function.func if isinstance(function, partial) else function
    try:
        returns = get_type_hints(inner).get("return", Any)
    except (NameError, TypeError):
        returns = Any
    return json.decoder(Any if returns is type(None) else returns)
