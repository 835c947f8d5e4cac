"""`TaskflowBackend`: what stands in the setting TASKS."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.utils import timezone

from taskflow.contrib.django.django_task import OPTIONS, DjangoTask
from taskflow.contrib.django.entered_tasks import entered_tasks
from taskflow.contrib.django.interface import (
    BaseTaskBackend,
    InvalidTask,
    InvalidTaskBackend,
    TaskResultDoesNotExist,
    normalize_json,
    task_enqueued,
)
from taskflow.contrib.django.reporting import made_result, result_of
from taskflow.errors import RegistrationError
from taskflow.publisher import broker_of
from taskflow.registry import Registry, default_registry
from taskflow.tasks.call_options import CallOptions
from taskflow.tasks.run import load


class TaskflowBackend(BaseTaskBackend):  # type: ignore[misc]
    """Runs tasks of Django's interface through a broker of taskflow.

    Each becomes a task of `registry` under the name of its function, on every queue of QUEUES,
    where `taskflow worker` runs it. OPTIONS are those of `taskflow.task` that hold for all of them:
    `result` ("1d": for how long results are kept; None for none), `retries` (0), and what
    `DjangoTask` has, of which a task may have its own. Raises InvalidTaskBackend for others.
    """

    task_class = DjangoTask
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True
    registry: ClassVar[Registry] = default_registry

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        super().__init__(alias, params)
        known = ("result", *OPTIONS)
        if unknown := [name for name in self.options if name not in known]:
            raise InvalidTaskBackend(
                f"OPTIONS of TASKS[{alias!r}] does not know {', '.join(map(repr, unknown))}; it "
                f"knows {', '.join(known)}"
            )
        self._options = {"result": "1d", "retries": 0, **self.options}
        self.supports_get_result = self._options["result"] is not None
        self._entered = entered_tasks(self.registry, alias, type(self))

    def validate_task(self, task: Any) -> None:
        """Raise InvalidTask for one that cannot be run; let workers know one that is new."""
        super().validate_task(task)
        if not isinstance(task, DjangoTask):
            raise InvalidTask(
                f"{task.module_path} was made for another backend, and no worker would know it: "
                f"decorate it with @task(backend={self.alias!r})"
            )
        made = self._entered.made(task.func)
        if made is None:
            try:
                self._entered.enter(task, self.queues, {**self._options, **task.chosen})
            except RegistrationError as error:
                raise InvalidTask(str(error)) from error
        elif task.queue_name not in made.target.queues:
            raise InvalidTask(
                f"no worker would know {task.module_path} on queue {task.queue_name!r}: name that "
                f"among QUEUES of TASKS[{self.alias!r}]"
            )

    def enqueue(self, task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Store a call; answers its result, READY. Raises InvalidTask, TypeError for arguments that
        the function does not take or JSON does not hold, and what `Task.delay` of taskflow does."""
        self.validate_task(task)
        args, kwargs = normalize_json(args), normalize_json(kwargs)
        made = self._entered.made(task.func)
        assert made is not None
        options = CallOptions(queue=task.queue_name)
        if task.priority:
            options["priority"] = "high" if task.priority > 0 else "low"
        if (at := task.run_after) is not None:
            options["at"] = timezone.make_aware(at) if timezone.is_naive(at) else at
        called = made.options(**options).delay(*args, **kwargs)
        now = called.broker.clock.now()
        result = made_result(task, called.id, args, kwargs, enqueued_at=now)
        task_enqueued.send(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> Any:
        """What became of a call. Raises TaskResultDoesNotExist for one that is not there (any
        more), keeps no result, or is of a task that nothing here has imported."""
        broker = broker_of(None, self.registry)
        row = load(broker, [result_id]).get(result_id)
        if row is None:
            raise TaskResultDoesNotExist(result_id)
        task = self._entered.named(row.run.task)
        if task is None:
            raise TaskResultDoesNotExist(
                f"{result_id} is of {row.run.task}, which TASKS[{self.alias!r}] does not know here"
            )
        return result_of(task, broker, row)
