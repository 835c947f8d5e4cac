"""taskflow: decorator-based workers for event-driven Python services, and tasks.

Each public name is imported when it is first used: a module of handlers needs no broker, and the
command line's `--help` neither.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from taskflow.version import VERSION as _VERSION

if TYPE_CHECKING:
    from taskflow.broker import Broker, QueueCounts, QueueSettings
    from taskflow.clock import Clock, SystemClock
    from taskflow.config import open_broker
    from taskflow.errors import Reject, Retry, TaskflowError
    from taskflow.event import Context, Event
    from taskflow.middleware import Middleware
    from taskflow.publisher import publish, publish_many
    from taskflow.registry import Registry, subscribe, use
    from taskflow.retry import RetryPolicy
    from taskflow.scheduling.decorators import cron, every, once
    from taskflow.scheduling.schedule import Schedule
    from taskflow.scheduling.schedules import schedules
    from taskflow.tasks.awaited_runs import as_completed, wait_all, wait_any
    from taskflow.tasks.canvas.chain import chain
    from taskflow.tasks.canvas.group import chord, group
    from taskflow.tasks.decorator import task
    from taskflow.tasks.named_call import send_task
    from taskflow.tasks.result import Result
    from taskflow.tasks.task import AsyncTask, Task
    from taskflow.worker.pool import Pool
    from taskflow.worker.worker import Worker
    from taskflow.workflows.async_run import AsyncRun
    from taskflow.workflows.run_context import Run
    from taskflow.workflows.workflow import AsyncWorkflow, Workflow
    from taskflow.workflows.workflow_decorator import workflow
    from taskflow.workflows.workflow_result import WorkflowResult

__all__ = [
    "AsyncRun",
    "AsyncTask",
    "AsyncWorkflow",
    "Broker",
    "Clock",
    "Context",
    "Event",
    "Middleware",
    "Pool",
    "QueueCounts",
    "QueueSettings",
    "Registry",
    "Reject",
    "Result",
    "Retry",
    "RetryPolicy",
    "Run",
    "Schedule",
    "SystemClock",
    "Task",
    "TaskflowError",
    "Worker",
    "Workflow",
    "WorkflowResult",
    "as_completed",
    "chain",
    "chord",
    "cron",
    "every",
    "group",
    "once",
    "open_broker",
    "publish",
    "publish_many",
    "schedules",
    "send_task",
    "subscribe",
    "task",
    "use",
    "wait_all",
    "wait_any",
    "workflow",
]

__version__ = _VERSION
_HOMES = {
    "broker": ("Broker", "QueueCounts", "QueueSettings"),
    "clock": ("Clock", "SystemClock"),
    "config": ("open_broker",),
    "errors": ("Reject", "Retry", "TaskflowError"),
    "event": ("Context", "Event"),
    "middleware": ("Middleware",),
    "publisher": ("publish", "publish_many"),
    "registry": ("Registry", "subscribe", "use"),
    "retry": ("RetryPolicy",),
    "tasks.canvas.chain": ("chain",),
    "tasks.canvas.group": ("chord", "group"),
    "scheduling.decorators": ("cron", "every", "once"),
    "scheduling.schedule": ("Schedule",),
    "scheduling.schedules": ("schedules",),
    "tasks.decorator": ("task",),
    "tasks.named_call": ("send_task",),
    "tasks.result": ("Result",),
    "tasks.task": ("AsyncTask", "Task"),
    "tasks.awaited_runs": ("as_completed", "wait_all", "wait_any"),
    "worker.pool": ("Pool",),
    "worker.worker": ("Worker",),
    "workflows.async_run": ("AsyncRun",),
    "workflows.run_context": ("Run",),
    "workflows.workflow": ("AsyncWorkflow", "Workflow"),
    "workflows.workflow_decorator": ("workflow",),
    "workflows.workflow_result": ("WorkflowResult",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name, or a module of the package, at its first use."""
    home = _HOME.get(name)
    if home is not None:
        found = getattr(import_module(f"taskflow.{home}"), name)
        globals()[name] = found
        return found
    if not name.startswith("_"):
        try:
            return import_module(f"taskflow.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"taskflow.{name}":
                raise
    raise AttributeError(f"module 'taskflow' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
