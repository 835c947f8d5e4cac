"""What may be said of a schedule, checked."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import msgspec

from taskflow import payload as json
from taskflow.clock import Instant, find_zone, moment_in_zone
from taskflow.durations import Duration, seconds_of
from taskflow.errors import BrokerError
from taskflow.limits import check_topic
from taskflow.scheduling.cron_times import check_cron
from taskflow.scheduling.missed_ticks import Missed
from taskflow.scheduling.spec import MISSED, OVERLAPS, Overlap, Spec
from taskflow.scheduling.timing import Timing
from taskflow.tasks.preparing import Target
from taskflow.tasks.task import TaskBase
from taskflow.text import check_line

SHORTEST = 1.0  # seconds between two ticks
LONGEST = 10 * 366 * 86400.0  # seconds
_NAME = re.compile(r"[\x21-\x7e]{1,100}")  # it is in ids, keys and message groups, with the tick


class ScheduleOptions(TypedDict, total=False):
    """Durations are seconds, or text such as "15m".

    `missed`: what to do about ticks that nobody was there to fire: the `last` of them (the
    default), `skip` them, or `all`, up to 100. `catchup`: how old such a tick may be, an hour by
    default, or the interval if that is shorter. `overlap`: what to do when the run before has not
    ended: `skip` the tick (the default), `allow` both, `queue` one, or `cancel` the one before.
    `jitter`: each tick is late by up to so much, at random, so that many do not begin at once.
    `args` and `kwargs`: what the task is called with.
    """

    missed: Missed
    catchup: Duration
    overlap: Overlap
    jitter: Duration
    args: Sequence[Any]
    kwargs: Mapping[str, Any]


def check_name(name: str) -> str:
    """Return the name of a schedule. Raises ValueError for one that cannot be."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"the name of a schedule is {name!r}; 1 to 100 letters, digits and punctuation are "
            "allowed, no spaces (example: report/cus_17)"
        )
    return name


def make_timing(
    every: Duration | None = None,
    cron: str | None = None,
    at: Instant | str | None = None,
    tz: str = "UTC",
) -> Timing:
    """When it is due. Raises ValueError, or TypeError, for what cannot be."""
    if [every, cron, at].count(None) != 2:
        raise ValueError("a schedule has one of every=, cron= and at=")
    if every is not None:
        if tz != "UTC":
            raise ValueError("every= counts real seconds, which no time zone changes; cron= has tz")
        seconds = seconds_of("every", every)
        if not SHORTEST <= seconds <= LONGEST:
            raise ValueError(f"every is {every!r}; from a second to ten years")
        return Timing(every=seconds)
    if cron is not None:
        return Timing(cron=check_cron(cron, tz), tz=tz)
    assert at is not None
    find_zone(tz)
    return Timing(at=moment_in_zone("at", at, tz))


def make_spec(
    timing: Timing,
    options: Mapping[str, Any],
    *,
    task: TaskBase[..., Any] | str | None = None,
    queue: str | None = None,
    publish: tuple[str, Any] | None = None,
) -> Spec:
    """A schedule of a task, or of an event. Raises TypeError, or ValueError, for what cannot be."""
    known = ScheduleOptions.__annotations__
    if unknown := [name for name in options if name not in known]:
        raise TypeError(
            f"a schedule does not know {', '.join(map(repr, unknown))}; it knows {', '.join(known)}"
        )
    if (task is None) == (publish is None):
        raise ValueError("a schedule has one of task= and publish=(topic, payload)")
    missed = _one_of("missed", options.get("missed", "last"), MISSED)
    usual = "allow" if missed == "all" or publish is not None else "skip"
    overlap = _one_of("overlap", options.get("overlap", usual), OVERLAPS)
    if overlap != "allow" and publish is not None:
        raise ValueError(f"overlap is {overlap!r}; of an event nobody knows whether it has ended")
    if overlap != "allow" and missed == "all":
        raise ValueError(
            f"missed='all' starts several at once, and overlap is {overlap!r}; it goes with "
            "overlap='allow'"
        )
    catchup = options.get("catchup")
    jitter = seconds_of("jitter", options.get("jitter", 0.0))
    if jitter and jitter > (shortest := timing.shortest()):
        raise ValueError(f"jitter is {jitter:g} s, and from tick to tick it is {shortest:g} s")
    spec = Spec(
        timing=timing,
        missed=missed,
        catchup=None if catchup is None else seconds_of("catchup", catchup),
        overlap=overlap,
        jitter=jitter,
    )
    if publish is not None:
        return _publishing(spec, publish, options)
    return _calling(spec, task, queue, options.get("args", ()), options.get("kwargs", {}))


def _calling(
    spec: Spec, task: Any, queue: str | None, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Spec:
    if isinstance(args, str) or not isinstance(args, Sequence):
        raise TypeError(f"args is {args!r}; a tuple is wanted, such as ({args!r},)")
    if isinstance(task, TaskBase):
        task.parameters.check(task.name, args, kwargs)
        target = task.target
        if queue is not None and queue not in target.queues:
            raise ValueError(f"task {task.name} has no queue {queue!r}; {', '.join(target.queues)}")
        target = msgspec.structs.replace(target, queues=[queue or target.queues[0]])
    elif isinstance(task, str):
        target = Target(check_line("task", task), [queue or "default"])
    else:
        raise TypeError(f"task is {task!r}; a task, or its name, is wanted")
    given, named = json.encode_arguments(args, kwargs)
    return msgspec.structs.replace(
        spec, task=target, args=msgspec.Raw(given), kwargs=msgspec.Raw(named)
    )


def _publishing(spec: Spec, publish: tuple[str, Any], options: Mapping[str, Any]) -> Spec:
    if "args" in options or "kwargs" in options:
        raise TypeError("args and kwargs are of a task; publish=(topic, payload) has a payload")
    try:
        topic, payload = publish
    except (TypeError, ValueError):
        raise TypeError(f"publish is {publish!r}; (topic, payload) is wanted") from None
    try:
        check_topic(topic)
    except BrokerError as error:
        raise ValueError(f"publish: {error}") from None
    return msgspec.structs.replace(spec, topic=topic, payload=msgspec.Raw(json.encode(payload)))


def _one_of(what: str, value: Any, allowed: Sequence[Any]) -> Any:
    if value not in allowed:
        raise ValueError(f"{what} is {value!r}; {', '.join(map(repr, allowed))} are allowed")
    return value
