"""An entry of `beat_schedule`, read and checked."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from taskflow.celery.crontab import Crontab
from taskflow.celery.not_ported import refuse
from taskflow.durations import seconds_of
from taskflow.errors import ConfigError

_KNOWN = ("task", "schedule", "args", "kwargs", "options", "relative")


class PeriodicTask(msgspec.Struct, frozen=True, kw_only=True):
    """Call `task` every so many seconds, or by a cron expression: one of them is None. `options`
    are those of `apply_async`."""

    name: str
    task: str
    every: float | None = None
    cron: str | None = None
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = {}
    options: Mapping[str, Any] = {}


def read_periodic(name: str, entry: Mapping[str, Any]) -> PeriodicTask:
    """An entry as it was given. Raises ConfigError for one that is none, NotPorted for what Celery
    has and this has not."""
    if not isinstance(entry, Mapping) or not {"task", "schedule"} <= entry.keys():
        raise ConfigError(f"beat_schedule {name!r} is {entry!r}; task and schedule are wanted")
    if unknown := [key for key in entry if key not in _KNOWN]:
        raise ConfigError(
            f"beat_schedule {name!r} has {', '.join(map(repr, unknown))}; {', '.join(_KNOWN)} are "
            "known"
        )
    if entry.get("relative"):
        raise refuse("relative schedule", name)
    every, cron = read_schedule(entry["schedule"])
    return PeriodicTask(
        name=name,
        task=str(getattr(entry["task"], "name", entry["task"])),
        every=every,
        cron=cron,
        args=tuple(entry.get("args") or ()),
        kwargs=dict(entry.get("kwargs") or {}),
        options=dict(entry.get("options") or {}),
    )


def read_schedule(given: Any) -> tuple[float | None, str | None]:
    """Seconds, or a cron expression. Raises NotPorted for what is neither."""
    if isinstance(given, Crontab):
        return None, given.expression
    try:
        every = seconds_of("schedule", given)
    except (ValueError, AttributeError, TypeError):
        raise refuse("schedule of another kind", given) from None
    if not every:
        raise ConfigError("schedule is 0 s; more is wanted")
    return every, None
