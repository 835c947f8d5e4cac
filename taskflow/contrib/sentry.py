"""Failures and schedules for Sentry, as a middleware: the one module that imports its SDK (extra
`sentry`)."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, Literal

import sentry_sdk
from sentry_sdk.crons import capture_checkin
from sentry_sdk.integrations.logging import ignore_logger
from sentry_sdk.types import MonitorConfig

from taskflow.errors import Retry as AskedForRetry
from taskflow.event import Context
from taskflow.middleware import Middleware, Run
from taskflow.registry import Registry, default_registry
from taskflow.retry import Dead, Done, Outcome
from taskflow.scheduling.scheduler import scheduler
from taskflow.scheduling.timing import Timing
from taskflow.tasks.task_context import TaskContext
from taskflow.wire.trace_header import header_parent

MOST_SLUG = 50  # characters of a monitor's name
UNITS: tuple[tuple[int, Literal["day", "hour", "minute"]], ...] = (
    (86400, "day"),
    (3600, "hour"),
    (60, "minute"),
)


def report_to_sentry(
    registry: Registry = default_registry,
    *,
    attempts: Literal["last", "all"] = "last",
    crons: bool = True,
) -> Middleware:
    """For `registry.use(report_to_sentry())`, after `sentry_sdk.init` and before a worker is made.

    An attempt after which the message is a dead letter is an issue; with `attempts="all"` each one
    that fails, but for those that raise `taskflow.Retry`. Runs of schedules check in with Crons,
    under the schedule's name. No payload is sent: frames go without their variables, unless
    the SDK was told `send_default_pii`. Exception texts are sent as they are. The framework's own
    log lines are no issues and no breadcrumbs: they would say the same again.
    """
    if attempts not in ("last", "all"):
        raise ValueError(f"attempts is {attempts!r}; allowed: last, all")
    ignore_logger("taskflow.worker")

    def report(context: Context, run: Run) -> Outcome:
        with sentry_sdk.isolation_scope() as scope:
            _describe(scope, context)
            with _checked_in(registry, context, crons) as told:
                outcome = run(context)
                told.append(outcome)
            if isinstance(outcome, Dead):
                if outcome.error is None:
                    sentry_sdk.capture_message(outcome.reason, "error")
                else:
                    sentry_sdk.capture_exception(outcome.error)
            elif attempts == "all" and not isinstance(outcome.error, AskedForRetry | None):
                sentry_sdk.capture_exception(outcome.error)
            return outcome

    return report


def _describe(scope: "sentry_sdk.Scope", context: Context) -> None:
    event = context.event
    scope.clear_breadcrumbs()
    scope.set_transaction_name(context.handler)
    scope.set_tag("taskflow.queue", context.queue)
    scope.set_tag("taskflow.handler", context.handler)
    trace = event.traceparent or header_parent(context.delivery.trace) or ""
    if trace.count("-") >= 3:  # it may come from anybody who can send
        scope.set_tag("taskflow.trace_id", trace.split("-")[1])
    scope.set_context(
        "taskflow",
        {
            "event": event.id,
            "topic": event.topic,
            "queue": context.queue,
            "handler": context.handler,
            "attempt": context.attempt,
        },
    )
    if not sentry_sdk.get_client().options.get("send_default_pii"):
        scope.add_event_processor(_without_variables)


def _without_variables(event: Any, hint: Mapping[str, Any]) -> Any:
    """A handler's arguments are variables of its frames."""
    for kind in ("exception", "threads"):
        for value in (event.get(kind) or {}).get("values") or ():
            for frame in ((value or {}).get("stacktrace") or {}).get("frames") or ():
                frame.pop("vars", None)
    return event


@contextmanager
def _checked_in(registry: Registry, context: Context, crons: bool) -> Iterator[list[Outcome]]:
    """Tell Crons of the first attempt's begin, and of the end: whichever worker has it, it is the
    same check-in."""
    told: list[Outcome] = []
    name = context.event.id.rpartition("@")[0]
    scheduled = isinstance(context, TaskContext) and context.tick is not None and name
    declared = scheduler(registry).wanted().get(name) if scheduled and crons else None
    config = None if declared is None else _config(declared.timing)
    if config is None:
        yield told
        return
    monitor, check_in = slug(name), sha256(context.event.id.encode()).hexdigest()[:32]
    if context.attempt == 1:
        capture_checkin(monitor, check_in, "in_progress", monitor_config=config)
    yield told
    if isinstance(told[0], Dead):
        capture_checkin(monitor, check_in, "error", monitor_config=config)
    elif isinstance(told[0], Done) and (told[0].skipped is None or told[0].duplicate):
        capture_checkin(monitor, check_in, "ok", monitor_config=config)


def _config(timing: Timing) -> MonitorConfig | None:
    """None for what Crons cannot watch: once, or more often than a minute."""
    if timing.cron is not None:
        return {"schedule": {"type": "crontab", "value": timing.cron}, "timezone": timing.tz}
    for seconds, unit in UNITS:
        if timing.every and timing.every % seconds == 0:
            value = int(timing.every // seconds)
            return {"schedule": {"type": "interval", "value": value, "unit": unit}}
    return None


def slug(name: str) -> str:
    """A schedule's name as a monitor's: small letters, digits, `-` and `_`, at most 50."""
    found = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-")
    if len(found) > MOST_SLUG or not found:
        found = f"{found[: MOST_SLUG - 9]}-{sha256(name.encode()).hexdigest()[:8]}"
    return found
