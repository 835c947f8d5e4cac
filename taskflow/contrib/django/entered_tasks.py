"""Django's tasks that a registry knows by one alias of TASKS, and what is around their runs."""

import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from django.db import close_old_connections

from taskflow.contrib.django.django_task import DjangoTask
from taskflow.contrib.django.interface import TaskResultStatus, task_finished
from taskflow.contrib.django.reporting import error_result, keep_value, made_result
from taskflow.contrib.django.task_function import make_handler
from taskflow.event import Context, handling
from taskflow.middleware import Run
from taskflow.payload import read_any
from taskflow.publisher import default_broker
from taskflow.registry import Registry
from taskflow.retry import Dead, Done, Outcome
from taskflow.tasks.decorator import task as make_task
from taskflow.tasks.decorator import task_name
from taskflow.tasks.settling import error_of
from taskflow.tasks.task import TaskBase
from taskflow.tasks.task_context import TaskContext


class EnteredTasks:
    """Filled at import, and the same for all threads, each of which has a backend of its own.
    `sender` is that of signals."""

    def __init__(self, registry: Registry, sender: type) -> None:
        self._registry = registry
        self._sender = sender
        self._made: dict[Callable[..., Any], TaskBase[..., Any]] = {}
        self._named: dict[str, DjangoTask] = {}
        registry.use(self._around)

    def made(self, function: Callable[..., Any]) -> TaskBase[..., Any] | None:
        """The task of taskflow that a function is, if it is one."""
        return self._made.get(function)

    def named(self, name: str) -> DjangoTask | None:
        """Django's task by the name that runs have."""
        return self._named.get(name)

    def enter(self, task: DjangoTask, queues: set[str], options: Mapping[str, Any]) -> None:
        """Let workers of these queues know a task. Raises RegistrationError for what cannot be."""
        handler = make_handler(task.func, task.takes_context, self._sender, self._describe)
        name = task_name(task.func)
        places = (task.queue_name, *sorted(queues - {task.queue_name}))
        made = make_task(name=name, queue=places, registry=self._registry, **options)(handler)
        self._made[task.func], self._named[name] = made, task

    def _around(self, context: Context, run: Run) -> Outcome:
        """Around each attempt: the database's connections as for a request, and how it ended."""
        if context.handler not in self._named or not isinstance(context, TaskContext):
            return run(context)
        close_old_connections()
        try:
            outcome = run(context)
            ran = isinstance(outcome, Done) and not (outcome.skipped or outcome.duplicate)
            if isinstance(outcome, Dead) or ran:
                self._tell_end(context, outcome)
            return outcome
        finally:
            close_old_connections()

    def _tell_end(self, context: TaskContext, outcome: Outcome) -> None:
        done = isinstance(outcome, Done)
        result = self._describe(
            context,
            status=TaskResultStatus.SUCCESSFUL if done else TaskResultStatus.FAILED,
            errors=[] if outcome.error is None else [error_result(error_of(outcome.error))],
            finished_at=_now(),
        )
        if isinstance(outcome, Done) and outcome.value is not None:
            keep_value(result, read_any(msgspec.Raw(outcome.value)))
        task_finished.send(self._sender, task_result=result)

    def _describe(self, context: TaskContext, **known: Any) -> Any:
        """The result of a run that goes on, but for what is known better."""
        row = None if context.work is None else context.work.row
        tried_at = _now()
        facts = {
            "status": TaskResultStatus.RUNNING,
            "attempts": context.attempt,
            "worker": f"{socket.gethostname()}:{os.getpid()}",
            "enqueued_at": context.event.time if row is None else row.created_at,
            "started_at": tried_at if context.attempt == 1 else None,
            "tried_at": tried_at,
            **known,
        }
        given = context.arguments
        task = self._named[context.handler]
        return made_result(task, context.event.id, given.args, given.kwargs, **facts)


_entered: dict[tuple[Registry, str], EnteredTasks] = {}


def entered_tasks(registry: Registry, alias: str, sender: type) -> EnteredTasks:
    """Those of an alias of TASKS, made when they are first asked for."""
    found = _entered.get((registry, alias))
    if found is None:
        found = _entered[registry, alias] = EnteredTasks(registry, sender)
    return found


def _now() -> float:
    return (handling.get() or default_broker()).clock.now()
