"""Options of `@app.task`, checked, and as `@task` of taskflow has them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from taskflow.celery.celery_settings import JSON
from taskflow.celery.conf import Conf
from taskflow.celery.not_ported import REFUSED, refuse
from taskflow.celery.routes import queue_by_route, read_queues
from taskflow.durations import seconds_of
from taskflow.errors import HandlerInterrupt, HandlerTimeout, RegistrationError, Retry
from taskflow.limits import MAX_RECEIVES
from taskflow.message import PRIORITIES, Priority
from taskflow.retry import RetryPolicy
from taskflow.tasks.call_options import MAX_KEEP

MOST_RETRIES = MAX_RECEIVES - 1
_TRUE_ONLY = {
    "acks_late": "acks_late=False",
    "reject_on_worker_lost": "reject_on_worker_lost=False",
    "acks_on_failure_or_timeout": "acks_on_failure=False",
    "acks_on_failure": "acks_on_failure=False",
    "acks_on_timeout": "acks_on_failure=False",
}
_WITHOUT_EFFECT = ("track_started", "trail", "send_events", "resultrepr_maxsize", "throws")
_HOOKS = ("before_start", "on_success", "on_retry", "on_failure", "after_return", "on_replace")


class TaskOptions(msgspec.Struct, frozen=True, kw_only=True):
    """As Celery has them, with its defaults. Times in seconds."""

    name: str | None = None
    bind: bool = False
    queue: str | None = None
    max_retries: int | None = 3
    default_retry_delay: Any = 180.0
    autoretry_for: tuple[type[BaseException], ...] = ()
    dont_autoretry_for: tuple[type[BaseException], ...] = ()
    retry_kwargs: Mapping[str, Any] = {}
    retry_backoff: float | bool = False
    retry_backoff_max: float = 600.0
    retry_jitter: bool = True
    ignore_result: bool | None = None
    time_limit: float | None = None
    soft_time_limit: float | None = None
    rate_limit: str | float | None = None
    priority: Priority | None = None
    expires: Any = None
    typing: bool = True
    pydantic: bool = False


def read_options(
    given: Mapping[str, Any], annotations: Mapping[str, Any], name: str
) -> TaskOptions:
    """Options as they were given, changed by what `task_annotations` say of the task. Raises
    NotPorted for what Celery has and this has not, RegistrationError for what nobody knows."""
    options = {**given, **(annotations.get("*") or {}), **(annotations.get(name) or {})}
    for option, why in _TRUE_ONLY.items():
        if options.pop(option, None) is False:
            raise refuse(why)
    if (serializer := options.pop("serializer", None)) not in (None, *JSON):
        raise refuse("serializer", serializer)
    for option in _WITHOUT_EFFECT:
        options.pop(option, None)
    known = TaskOptions.__struct_fields__
    for option, value in options.items():
        if option in _HOOKS:
            raise refuse("base", option)
        if option not in known and option in REFUSED:
            if value is not None:
                raise refuse(option, value)
        elif option not in known:
            raise RegistrationError(
                f"{name}: there is no option {option!r} of a task; {', '.join(known)} are known"
            )
    if (priority := options.get("priority")) is not None:
        priority_of(priority)
    for option in ("autoretry_for", "dont_autoretry_for"):
        if option in options:
            options[option] = tuple(options[option] or ())
    return TaskOptions(**{option: options[option] for option in options if option in known})


def priority_of(value: Any) -> Priority:
    """A priority by its name. Raises NotPorted for a number."""
    if value not in PRIORITIES:
        raise refuse("priority", value)
    return value  # type: ignore[no-any-return]


def native_options(options: TaskOptions, conf: Conf, name: str) -> dict[str, Any]:
    """The same for `taskflow.task`."""
    soft, hard = options.soft_time_limit, options.time_limit
    if soft is None and hard is None:
        soft, hard = conf.task_soft_time_limit, conf.task_time_limit
    keep = None
    ignored = conf.task_ignore_result if options.ignore_result is None else options.ignore_result
    if conf.result_backend and not ignored:
        keep = keep_seconds(conf.result_expires)
    failed = conf.result_failure_expires
    rate = conf.task_default_rate_limit if options.rate_limit is None else options.rate_limit
    return {
        "name": name,
        "queue": queues_of(options.queue, conf, name),
        "policy": policy_of(options),
        "timeout": hard if soft is None else soft,
        "result": keep,
        "result_failed": None if failed is None else keep_seconds(failed),
        "rate": rate or None,
        "priority": options.priority,
    }


def queues_of(own: str | None, conf: Conf, name: str) -> list[str]:
    """Its queue, and all others that it may be called through."""
    first = own or queue_by_route(conf.task_routes, name) or conf.task_default_queue
    return list(dict.fromkeys([first, *read_queues(conf.task_queues)]))


def keep_seconds(value: Any) -> float:
    """`result_expires`; 0 and None are for as long as anything is kept."""
    return min(seconds_of("result_expires", value or 0), MAX_KEEP) or MAX_KEEP


def policy_of(options: TaskOptions) -> RetryPolicy:
    """When a failed attempt is tried again: when the task asks for it (`self.retry`), and after the
    exceptions of `autoretry_for`; never else."""
    most = options.retry_kwargs.get("max_retries", options.max_retries)
    retries = MOST_RETRIES if most is None else min(max(most, 0), MOST_RETRIES)
    delay = seconds_of("default_retry_delay", options.default_retry_delay or 0)
    asked = RetryPolicy(retries, delay, 1.0, delay, jitter=False)
    auto = asked
    if options.retry_backoff:
        first = float(options.retry_backoff)
        longest = float(options.retry_backoff_max)
        auto = RetryPolicy(retries, first, 2.0, longest, jitter=options.retry_jitter)
    elif "countdown" in options.retry_kwargs:
        fixed = seconds_of("countdown", options.retry_kwargs["countdown"])
        auto = RetryPolicy(retries, fixed, 1.0, fixed, jitter=False)
    rules: dict[type[BaseException], RetryPolicy | None] = {BaseException: None}
    rules |= dict.fromkeys(options.autoretry_for, auto)
    rules |= dict.fromkeys(options.dont_autoretry_for)
    if HandlerInterrupt in rules:
        rules[HandlerTimeout] = rules[HandlerInterrupt]
    rules[Retry] = asked
    return RetryPolicy(retries, delay, 1.0, delay, jitter=False, rules=rules)


def max_retries_of(options: TaskOptions) -> int | None:
    """How many retries it may have; None for as many as there can be."""
    most: int | None = options.retry_kwargs.get("max_retries", options.max_retries)
    return most
