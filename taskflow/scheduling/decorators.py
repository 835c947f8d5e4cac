"""`@every`, `@cron` and `@once`: schedules of a task, in code."""

from collections.abc import Callable
from typing import Any, TypeVar, Unpack

from taskflow.clock import Instant
from taskflow.durations import Duration
from taskflow.errors import RegistrationError, TaskflowError
from taskflow.scheduling.schedule_options import (
    ScheduleOptions,
    check_name,
    make_spec,
    make_timing,
)
from taskflow.scheduling.scheduler import scheduler
from taskflow.scheduling.timing import Timing
from taskflow.tasks.task import TaskBase

T = TypeVar("T", bound=TaskBase[..., Any])


def every(
    interval: Duration, *, name: str | None = None, **options: Unpack[ScheduleOptions]
) -> Callable[[T], T]:
    """Call the task below every so many seconds (or "10m"), at the multiples of that since the
    epoch: at the same times in all processes, without drift, whatever clocks do.

    `name`: the task's by default; several of one task need one. `ScheduleOptions` are the others.
    A worker of the task's queue puts it at its start. Raises RegistrationError for whatever cannot
    be.
    """
    return _above("every", name, options, lambda: make_timing(every=interval))


def cron(
    expression: str,
    *,
    tz: str = "UTC",
    name: str | None = None,
    **options: Unpack[ScheduleOptions],
) -> Callable[[T], T]:
    """Call the task below when a cron expression says so: `"0 9 * * mon-fri"` in the time zone
    `tz`, by the rules of Debian's cron when clocks change.

    Five fields, or six with seconds first, or `@daily` and its like. Other options and errors as
    for `every`.
    """
    return _above("cron", name, options, lambda: make_timing(cron=expression, tz=tz))


def once(
    at: Instant | str,
    *,
    tz: str = "UTC",
    name: str | None = None,
    **options: Unpack[ScheduleOptions],
) -> Callable[[T], T]:
    """Call the task below once, at a moment: epoch seconds, a datetime with a time zone, or text
    such as "2026-12-01T09:00", which is meant in `tz`. If it has passed when the schedule is first
    put, `missed` and `catchup` say what becomes of it. Other options and errors as for `every`.
    """
    return _above("once", name, options, lambda: make_timing(at=at, tz=tz))


def _above(
    what: str, name: str | None, options: Any, timing: Callable[[], Timing]
) -> Callable[[T], T]:
    try:
        when = timing()
    except (TypeError, ValueError) as error:
        raise RegistrationError(f"{what}: {error}") from None

    def decorate(task: T) -> T:
        if not isinstance(task, TaskBase):
            raise RegistrationError(f"{what} stands above @task, and {task!r} is no task")
        try:
            called = check_name(name or task.name)
            spec = make_spec(when, options, task=task)
        except (TypeError, ValueError, TaskflowError) as error:
            raise RegistrationError(f"{what} of {task.name}: {error}") from None
        scheduler(task.registry).add(called, spec, task)
        return task

    return decorate
