"""What settings say of the tasks that do not say it themselves: `[taskflow] task_retries = 5`."""

from collections.abc import Callable, Mapping
from typing import Any

from taskflow.config import place_of, settings_under
from taskflow.durations import seconds_of
from taskflow.entry_options import common_options
from taskflow.errors import ConfigError, RegistrationError
from taskflow.registry import DEFAULT_TIMEOUT, DEFAULT_WINDOW
from taskflow.tasks.call_options import keep_of

BUILT_IN: Mapping[str, Any] = {
    "queue": "default",
    "retries": None,
    "backoff": None,
    "timeout": DEFAULT_TIMEOUT,
    "result": None,
    "result_failed": None,
    "idempotent": True,
    "window": DEFAULT_WINDOW,
    "visibility_timeout": 30.0,
    "concurrency": None,
    "rate": None,
}
"""The options of `@task` that a setting may say, and what they are where none does."""

PREFIX = "task_"
_WHO = "task"
_KEPT = ("result", "result_failed")
_OWN = (*_KEPT, "idempotent")  # not among what every decorator has


def fill_in(said: Mapping[str, Any]) -> dict[str, Any]:
    """What the decorator said, then what settings say, then what is built in.

    A `policy` that was said has retries and a backoff of its own, and who says a `window` wants
    one. Raises ConfigError for a setting that cannot be, naming where it stands.
    """
    unwanted: set[str] = set()
    if said.get("policy") is not None:
        unwanted |= {"retries", "backoff"}
    if "window" in said:
        unwanted.add("idempotent")
    found = {name: value for name, value in task_defaults().items() if name not in unwanted}
    return {**BUILT_IN, **found, **said}


def task_defaults() -> dict[str, Any]:
    """The defaults that the environment and setup.cfg hold, checked. Raises ConfigError."""
    return {
        name.removeprefix(PREFIX): _checked(name.removeprefix(PREFIX), text.strip())
        for name, text in settings_under(PREFIX).items()
    }


def default_queue() -> str:
    """Where the calls of a task that names no queue wait. Raises ConfigError."""
    return str(task_defaults().get("queue", BUILT_IN["queue"]))


def _checked(name: str, text: str) -> Any:
    """A setting as the decorator would have it, under the same rules."""
    try:
        value = _READ[name](text)
        if name in _KEPT:
            keep_of(name, value)
        elif name != "idempotent":
            rules = {key: one for key, one in BUILT_IN.items() if key not in _OWN}
            common_options(_WHO, policy=None, **{**rules, name: value})
    except (ValueError, RegistrationError) as error:
        why = str(error).removeprefix(f"{_WHO}: ")
        raise ConfigError(f"{place_of(PREFIX + name)} is {text!r}: {why}") from None
    return value


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("a whole number is wanted") from None


def _truth(text: str) -> bool:
    found = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    if text.lower() not in found:
        raise ValueError(f"{', '.join(found)} are allowed")
    return found[text.lower()]


def _or_none(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """`none` is what None is in the decorator: no limit, no result."""
    return lambda text: None if text.lower() == "none" else read(text)


def _seconds(text: str) -> float:
    try:
        return seconds_of("it", text)
    except ValueError:
        raise ValueError("that is no duration; examples: 90, 1.5, 90s, 15m, 2h, 1d") from None


_READ: dict[str, Callable[[str], Any]] = {
    "queue": str,
    "retries": _whole,
    "backoff": _seconds,
    "timeout": _or_none(_seconds),
    "result": _or_none(_seconds),
    "result_failed": _or_none(_seconds),
    "idempotent": _truth,
    "window": _seconds,
    "visibility_timeout": _seconds,
    "concurrency": _or_none(_whole),
    "rate": _or_none(str),
}
