"""`Celery(...)`: the app of a ported project."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, overload

from taskflow.celery import async_result, group_result
from taskflow.celery.backends import check_backend, check_broker
from taskflow.celery.beat import KIND, Beat
from taskflow.celery.call_words import read_call, refused_attribute
from taskflow.celery.celery_task import CeleryTask
from taskflow.celery.conf import Conf
from taskflow.celery.control import Control
from taskflow.celery.current import set_current
from taskflow.celery.hook import Hook
from taskflow.celery.not_ported import refuse
from taskflow.celery.periodic_task import PeriodicTask, read_periodic
from taskflow.celery.routes import queue_by_route, read_routes
from taskflow.celery.signatures import Signature
from taskflow.celery.task_options import keep_seconds, read_options
from taskflow.config import name_broker
from taskflow.registry import Registry, default_registry
from taskflow.tasks.decorator import task_name
from taskflow.tasks.named_call import send_task

_ELSEWHERE = {"Worker": "Worker", "WorkController": "Worker", "connection_for_write": "connection"}


class Celery:
    """Holds settings and tasks; `taskflow worker --module` runs them. `broker` is an address of
    taskflow, of use where TASKFLOW_BROKER names none; `backend="taskflow://"` keeps results.
    `registry` takes the tasks, by default the one that workers read."""

    def __init__(
        self,
        main: str | None = None,
        *,
        broker: str | None = None,
        backend: str | None = None,
        include: Iterable[str] = (),
        config_source: Any = None,
        namespace: str | None = None,
        set_as_current: bool = True,
        registry: Registry = default_registry,
    ) -> None:
        self.main = main
        self.registry = registry
        self.tasks: dict[str, CeleryTask] = {}
        self.is_default = False
        self.on_after_configure = Hook()
        self.on_after_finalize = Hook()
        self.control = Control()
        self.conf = Conf(self._on_set)
        self._periodic: dict[str, PeriodicTask] = {}
        if config_source is not None:
            self.conf.read_object(config_source, namespace)
        given = {"broker_url": broker, "result_backend": backend, "include": include}
        self.conf.update({name: value for name, value in given.items() if value})
        registry.tender(KIND, Beat).apps.append(self)
        if set_as_current:
            set_current(self)

    # ---- settings -----------------------------------------------------------------------------
    def config_from_object(self, source: Any, *, namespace: str | None = None, **_: Any) -> None:
        """Set all that a module, an object or a dict holds; see `Conf.read_object`."""
        self.conf.read_object(source, namespace)

    def _on_set(self, name: str, value: Any) -> Any:
        match name:
            case "include" | "imports":
                value = (value,) if isinstance(value, str) else tuple(value or ())
                self._import_later(value)
            case "broker_url":
                value = check_broker(value)
                name_broker(value)
            case "result_backend":
                return check_backend(value)
            case "task_routes":
                return read_routes(value)
            case "beat_schedule":
                for one, entry in (value or {}).items():
                    self._periodic[one] = read_periodic(one, entry)
            case "result_expires":
                keep_seconds(value)
        return value

    def _import_later(self, modules: Iterable[str]) -> None:
        known = self.registry.modules
        known += [one for one in modules if one not in known]

    def autodiscover_tasks(
        self, packages: Any = None, related_name: str = "tasks", **_: Any
    ) -> None:
        """Let workers import the module `tasks` of each of these packages that has one."""
        found = packages() if callable(packages) else packages
        if not found:
            raise refuse("autodiscover_tasks without packages")
        names = [f"{package}.{related_name}" if related_name else package for package in found]
        self._import_later([name for name in names if find_spec(name) is not None])

    # ---- tasks --------------------------------------------------------------------------------
    @overload
    def task(self, function: Callable[..., Any], /) -> CeleryTask: ...
    @overload
    def task(self, **options: Any) -> Callable[[Callable[..., Any]], CeleryTask]: ...
    def task(self, *args: Any, **options: Any) -> Any:
        """Make a function a task: `@app.task`, or with options `@app.task(bind=True)`."""
        if len(args) == 1 and callable(args[0]) and not options:
            return self._make(args[0], {})
        if args:
            raise TypeError(f"app.task takes a function, or options by name, not {args!r}")
        return lambda function: self._make(function, options)

    def _make(self, function: Callable[..., Any], options: Mapping[str, Any]) -> CeleryTask:
        name = options.get("name")
        if name is None:
            module = task_name(function).removesuffix(f".{function.__qualname__}")
            name = f"{module}.{function.__name__}"
        self.conf.sealed = True
        read = read_options(options, self.conf.task_annotations or {}, name)
        made = self.tasks[name] = CeleryTask(self, name, function, read)
        return made

    def signature(
        self,
        task: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Signature:
        """A call as data, by the task's name."""
        immutable = options.pop("immutable", False)
        return Signature(task, args, kwargs, options, immutable=immutable, app=self)

    def send_task(
        self,
        name: str,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> async_result.AsyncResult:
        """Call a task by its name; without its code here nobody checks the arguments, and its queue
        is `queue=`, else that of `task_routes`, else the default one."""
        if (known := self.tasks.get(name)) is not None:
            return known.apply_async(args, kwargs, **options)
        if options.get("link") or options.get("link_error"):
            return Signature(name, args or (), kwargs, options, app=self).apply_async()
        found = read_call(self, options)
        found["queue"] = self.queue_of(name, found.get("queue"))
        if self.conf.result_backend and "result" not in found:
            found["result"] = keep_seconds(self.conf.result_expires)
        native = send_task(name, args or (), kwargs, **found)
        return async_result.AsyncResult(native.id, native=native, app=self)

    def queue_of(self, name: str, chosen: str | None = None) -> str:
        """Where a call of a task goes whose code is not here."""
        default: str = self.conf.task_default_queue
        return chosen or queue_by_route(self.conf.task_routes or (), name) or default

    # ---- schedules ----------------------------------------------------------------------------
    def add_periodic_task(
        self,
        schedule: Any,
        signature: Signature,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        name: str | None = None,
        **options: Any,
    ) -> str:
        """Add an entry to the schedule; answers its name."""
        one = signature.clone(args, kwargs)
        name = name or repr(one)
        entry = {"task": one.task, "schedule": schedule, "args": one.args, "kwargs": one.kwargs}
        entry["options"] = {**one.options, **options}
        self._periodic[name] = read_periodic(name, entry)
        return name

    def periodic_tasks(self) -> list[PeriodicTask]:
        """All entries of `beat_schedule` and `add_periodic_task`, in order."""
        self.on_after_configure.send(self)
        self.on_after_finalize.send(self)
        return list(self._periodic.values())

    @property
    def AsyncResult(self) -> type[Any]:
        """`app.AsyncResult(id)`."""
        return async_result.AsyncResult

    @property
    def GroupResult(self) -> type[Any]:
        """`app.GroupResult.restore(id)`."""
        return group_result.GroupResult

    def __getattr__(self, name: str) -> Any:
        raise refused_attribute("app", name, _ELSEWHERE)

    def __repr__(self) -> str:
        return f"<Celery {self.main}>"
