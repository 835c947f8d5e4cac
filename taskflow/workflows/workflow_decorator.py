"""`@workflow`: make a function durable."""

import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, get_type_hints, overload

from msgspec import UNSET, UnsetType

from taskflow.durations import Duration
from taskflow.entry_options import common_options
from taskflow.errors import RegistrationError, ResultError, WorkflowError
from taskflow.limits import is_fifo
from taskflow.message import Priority
from taskflow.registry import Registry, default_registry
from taskflow.retry import RetryPolicy
from taskflow.tasks.call_defaults import read_defaults
from taskflow.tasks.call_options import OnKey, keep_of
from taskflow.tasks.decorator import enter_task, read_function
from taskflow.tasks.defaults import fill_in
from taskflow.tasks.durable import Durable
from taskflow.tasks.flow import LimitOption, RateOption, read_shares
from taskflow.tasks.task import TaskBase
from taskflow.tasks.task_entry import target_of
from taskflow.workflows.async_run import AsyncRun
from taskflow.workflows.event_signals import subscribe_signals
from taskflow.workflows.run_context import Run
from taskflow.workflows.workflow import AsyncWorkflow, Workflow
from taskflow.workflows.workflow_entry import WorkflowEntry, guarded, guarded_async

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
KEEP: Duration = "30d"


class Decorator(Protocol):
    """What `@workflow(…)` is. The context comes first or last; a type checker takes it off where it
    comes first."""

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[Concatenate[AsyncRun, P], Coroutine[Any, Any, R]], /
    ) -> AsyncWorkflow[P, R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[Concatenate[Run, P], R], /
    ) -> Workflow[P, R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[Concatenate[T, AsyncRun, P], Coroutine[Any, Any, R]], /
    ) -> AsyncWorkflow[Concatenate[T, P], R]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[T, Run, P], R], /
    ) -> Workflow[Concatenate[T, P], R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[..., Coroutine[Any, Any, R]], /
    ) -> AsyncWorkflow[..., R]: ...
    @overload
    def __call__(self, function: Callable[..., R], /) -> Workflow[..., R]: ...


def workflow(
    *,
    queue: str | UnsetType = UNSET,
    name: str | None = None,
    aliases: Iterable[str] = (),
    version: int = 1,
    strict: bool = False,
    on: Mapping[str, str] | None = None,
    on_cancel: TaskBase[..., Any] | None = None,
    keep: Duration = KEEP,
    retries: int | UnsetType | None = UNSET,
    backoff: float | UnsetType | None = UNSET,
    policy: RetryPolicy | None = None,
    timeout: float | UnsetType | None = UNSET,
    visibility_timeout: float | UnsetType = UNSET,
    concurrency: int | UnsetType | None = UNSET,
    rate: RateOption | UnsetType | None = UNSET,
    limit: LimitOption | None = None,
    priority: Priority | None = None,
    key: str | Sequence[str] | None = None,
    on_key: OnKey = "keep",
    registry: Registry = default_registry,
    **unknown: Any,
) -> Decorator:
    """Make a function durable: it is run again from its first line after each wait and each crash,
    and what its steps have done is kept, and not done again.

    The function has a parameter annotated `Run` (`AsyncRun` in an `async def`). `keep`: for how
    long a run is kept from its end. `version` is that of the code: a run remembers which one began
    it, and a worker with an older one leaves it to others. `strict`: a run whose steps are not
    those that the code takes fails, instead of being warned of. `on`: events of these topics are
    signals of the run whose key (`key=`, or `.options(key=…)`) is what the named field of their
    payload holds. `on_cancel`, a task or workflow, is called with the same arguments when a run is
    cancelled that had begun, to clean up (its `ctx.cancels` is the id of that). `timeout` is for
    one attempt, from one wait to the next, as `retries` are. The other options are those of
    `@task`. Raises RegistrationError for whatever cannot be.
    """
    if unknown:
        known = [one for one in inspect.signature(workflow).parameters if one != "unknown"]
        raise RegistrationError(
            f"workflow does not know {', '.join(map(repr, unknown))}; it knows {', '.join(known)}"
        )
    if type(version) is not int or version < 1:
        raise RegistrationError(f"version is {version!r}; a whole number, 1 or more")
    said = {
        "queue": queue,
        "retries": UNSET if retries is None else retries,
        "backoff": UNSET if backoff is None else backoff,
        "policy": policy,
        "timeout": timeout,
        "visibility_timeout": visibility_timeout,
        "concurrency": concurrency,
        "rate": rate,
    }
    options = fill_in({name: value for name, value in said.items() if value is not UNSET})
    for one in ("result", "result_failed", "idempotent", "window"):
        options.pop(one)
    try:
        kept = keep_of("keep", keep)
        defaults = read_defaults(priority, key, on_key, None, None, None)
    except ValueError as error:
        raise RegistrationError(f"workflow: {error}") from None
    if not kept:
        raise RegistrationError("keep is None; a run is kept for some time: keep='30d'")
    durable = Durable(version=version, on_cancel=_cleans_up(on_cancel))
    flow, options["rate"] = read_shares(limit, options["rate"])
    common = common_options("workflow", window=None, **options)
    rules: dict[type[BaseException], RetryPolicy | None] = {WorkflowError: None, ResultError: None}
    rules.update(common["policy"].rules)
    common["policy"] = replace(common["policy"], rules=rules)

    def make(function: Callable[..., Any]) -> Any:
        called, parameters, is_async = read_function(function, "workflow", name, defaults, flow)
        _check_context(function, called, parameters.context, AsyncRun if is_async else Run)
        entry = WorkflowEntry(
            **common,
            handler=(guarded_async if is_async else guarded)(function),
            name=called,
            is_async=is_async,
            parameters=parameters,
            keep=kept,
            keep_failed=kept,
            aliases=tuple(aliases),
            limit=None if flow is None else flow.limit,
            flow=flow,
            defaults=defaults,
            durable=durable,
            strict=strict,
        )
        enter_task(registry, entry)
        subscribe_signals(registry, called, entry.queue, on or {}, entry.visibility_timeout)
        target = target_of(entry, (entry.queue,))
        kind = AsyncWorkflow if is_async else Workflow
        return kind(function, target, parameters, registry)

    return make


def _cleans_up(on_cancel: Any) -> tuple[str, str] | None:
    """The task that is called on a cancel, and its queue. Raises RegistrationError for none."""
    if on_cancel is None:
        return None
    if not isinstance(on_cancel, TaskBase):
        raise RegistrationError(f"on_cancel is {on_cancel!r}; a task or workflow is wanted")
    queue = on_cancel.target.queues[0]
    if is_fifo(queue):
        raise RegistrationError(
            f"on_cancel is {on_cancel.name}, of the FIFO queue {queue!r}; a standard queue is "
            "wanted, since a cancel knows no message group"
        )
    return on_cancel.name, queue


def _check_context(
    function: Callable[..., Any], name: str, context: tuple[str, int | None] | None, wanted: type
) -> None:
    """Raise RegistrationError for a function that does not ask for the context that it needs."""
    found = None if context is None else get_type_hints(function)[context[0]]
    if found is not wanted:
        kind = "an `async def`" if wanted is AsyncRun else "a `def`"
        raise RegistrationError(
            f"{name} is {kind} workflow, and one of its parameters is annotated "
            f"{wanted.__name__}: `ctx: {wanted.__name__}`"
            + ("" if found is None else f"; not {found.__name__}")
        )
