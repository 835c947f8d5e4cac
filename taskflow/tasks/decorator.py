"""`@task`: make a function a task."""

import inspect
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from msgspec import UNSET, UnsetType

from taskflow.durations import Duration
from taskflow.entry_options import common_options, name_of
from taskflow.errors import RegistrationError, Retry
from taskflow.event import Context
from taskflow.limits import is_fifo
from taskflow.message import Priority
from taskflow.registry import Registry, default_registry
from taskflow.retry import RetryPolicy
from taskflow.tasks.call_defaults import read_defaults
from taskflow.tasks.call_options import Checked, OnKey, keep_of
from taskflow.tasks.defaults import fill_in
from taskflow.tasks.flow import Flow, LimitOption, RateOption, check_names, read_shares
from taskflow.tasks.parameters import Parameters, read_parameters
from taskflow.tasks.task import AsyncTask, Task, TaskBase
from taskflow.tasks.task_engine import TaskEngine
from taskflow.tasks.task_entry import TaskEntry, target_of

C = TypeVar("C", bound=Context)
P = ParamSpec("P")
R = TypeVar("R")
KIND = "task"


class Decorator(Protocol):
    """What `@task(…)` is: it makes a `Task` of a `def`, an `AsyncTask` of an `async def`. A first
    parameter annotated `Context` is none of the task's arguments."""

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[Concatenate[C, P], Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[C, P], R], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


def task_engine(registry: Registry) -> TaskEngine:
    """The tasks of a registry."""
    return registry.engine(KIND, TaskEngine)


@overload
def task(  # type: ignore[overload-overlap]
    function: Callable[Concatenate[C, P], Coroutine[Any, Any, R]], /
) -> AsyncTask[P, R]: ...
@overload
def task(  # type: ignore[overload-overlap]
    function: Callable[P, Coroutine[Any, Any, R]], /
) -> AsyncTask[P, R]: ...
@overload
def task(function: Callable[Concatenate[C, P], R], /) -> Task[P, R]: ...
@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(
    *,
    queue: str | Sequence[str] = ...,
    name: str | None = None,
    aliases: Iterable[str] = (),
    retries: int | None = ...,
    backoff: float | None = ...,
    policy: RetryPolicy | None = None,
    retry_on: Sequence[type[BaseException]] | None = None,
    give_up_on: Sequence[type[BaseException]] = (),
    timeout: float | None = ...,
    result: Duration | None = ...,
    result_failed: Duration | None = ...,
    on_success: TaskBase[..., Any] | None = None,
    on_failure: TaskBase[..., Any] | None = None,
    idempotent: bool = ...,
    window: float = ...,
    visibility_timeout: float = ...,
    concurrency: int | None = ...,
    rate: RateOption | None = ...,
    limit: LimitOption | None = None,
    priority: Priority | None = None,
    key: str | Sequence[str] | None = None,
    on_key: OnKey = "keep",
    debounce: Duration | None = None,
    max_wait: Duration | None = None,
    throttle: Duration | None = None,
    registry: Registry = default_registry,
) -> Decorator: ...


def task(
    function: Callable[..., Any] | None = None,
    /,
    *,
    queue: str | Sequence[str] | UnsetType = UNSET,
    name: str | None = None,
    aliases: Iterable[str] = (),
    retries: int | UnsetType | None = UNSET,
    backoff: float | UnsetType | None = UNSET,
    policy: RetryPolicy | None = None,
    retry_on: Sequence[type[BaseException]] | None = None,
    give_up_on: Sequence[type[BaseException]] = (),
    timeout: float | UnsetType | None = UNSET,
    result: Duration | UnsetType | None = UNSET,
    result_failed: Duration | UnsetType | None = UNSET,
    on_success: TaskBase[..., Any] | None = None,
    on_failure: TaskBase[..., Any] | None = None,
    idempotent: bool | UnsetType = UNSET,
    window: float | UnsetType = UNSET,
    visibility_timeout: float | UnsetType = UNSET,
    concurrency: int | UnsetType | None = UNSET,
    rate: RateOption | UnsetType | None = UNSET,
    limit: LimitOption | None = None,
    priority: Priority | None = None,
    key: str | Sequence[str] | None = None,
    on_key: OnKey = "keep",
    debounce: Duration | None = None,
    max_wait: Duration | None = None,
    throttle: Duration | None = None,
    registry: Registry = default_registry,
    **unknown: Any,
) -> Any:
    """Make a function a task: `add.delay(1, 2)` calls it through its queue, `add(1, 2)` as ever.

    `queue`: where its calls wait; several for a task that may be called through any of them, the
    usual one first. `name`: what messages call it, `module.function` by default; `aliases` what it
    was called before. `result`: for how long ("1d") what a call returned is kept, from its end;
    None for calls that nobody asks about, which cost less. `result_failed`: the same of what
    failed, two weeks by default, for as long as the message may be redriven. `retry_on`: only these
    exceptions are tried again; `give_up_on`: these are not. `on_success` and `on_failure` are
    tasks, called with what it returned, or with a dict that says what went wrong, in the
    transaction that settles it. `limit`: how many of its calls run at once over all workers, or
    for each value of an argument (`("customer_id", 2)`); `rate` too may be of each value. `key`:
    while a call with these arguments waits or runs, there is no other (`CallOptions.key`).
    `priority`, `on_key`, `debounce`, `max_wait` and `throttle` are the options of its calls that
    say nothing else (`CallOptions`). Other options as for `subscribe`. What is left out is what
    settings say (`[taskflow] task_retries = 5`), read here, when the function becomes a task.
    Raises RegistrationError for whatever cannot be, saying how to mend it; ConfigError for a
    setting that cannot.
    """
    if unknown:
        known = [one for one in inspect.signature(task).parameters if one != "unknown"][1:]
        raise RegistrationError(
            f"task does not know {', '.join(map(repr, unknown))}; it knows {', '.join(known)}"
        )
    said = {
        "queue": queue,
        "retries": UNSET if retries is None else retries,
        "backoff": UNSET if backoff is None else backoff,
        "policy": policy,
        "timeout": timeout,
        "result": result,
        "result_failed": result_failed,
        "idempotent": idempotent,
        "window": window,
        "visibility_timeout": visibility_timeout,
        "concurrency": concurrency,
        "rate": rate,
    }
    options = fill_in({name: value for name, value in said.items() if value is not UNSET})
    wanted = options.pop("queue")
    queues = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    if not queues:
        raise RegistrationError("task names no queue; leave queue= out for the usual one")
    for what, one in (("on_success", on_success), ("on_failure", on_failure)):
        if one is not None and not isinstance(one, TaskBase):
            raise RegistrationError(f"{what} is {one!r}; a task is wanted")
    try:
        keep = keep_of("result", options.pop("result"))
        keep_failed = keep_of("result_failed", options.pop("result_failed"))
        defaults = read_defaults(priority, key, on_key, debounce, max_wait, throttle)
    except ValueError as error:
        raise RegistrationError(f"task: {error}") from None
    if not options.pop("idempotent"):
        options["window"] = None
    flow, options["rate"] = read_shares(limit, options["rate"])
    common = [common_options("task", queue=one, **options) for one in queues]
    chosen = _with_rules(common[0]["policy"], retry_on, give_up_on)

    def make(function: Callable[..., Any]) -> Any:
        called, parameters, is_async = read_function(function, "task", name, defaults, flow)
        for one in common:
            one["policy"] = chosen
            entry = TaskEntry(
                **one,
                handler=function,
                name=called,
                is_async=is_async,
                parameters=parameters,
                keep=keep,
                keep_failed=keep_failed,
                on_success=on_success,
                on_failure=on_failure,
                aliases=tuple(aliases),
                limit=None if flow is None else flow.limit,
                flow=flow,
                defaults=defaults,
            )
            enter_task(registry, entry)
        target = target_of(entry, queues)
        return (AsyncTask if is_async else Task)(function, target, parameters, registry)

    return make if function is None else make(function)


def task_name(function: Callable[..., Any]) -> str:
    """`module.function`; for a script that is run, its own name instead of `__main__`."""
    if function.__module__ != "__main__":
        return name_of(function)
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    file = getattr(main, "__file__", None)
    module = spec.name.removesuffix(".__main__") if spec else Path(file or "__main__").stem
    return f"{module}.{function.__qualname__}"


def read_function(
    function: Callable[..., Any], what: str, name: str | None, defaults: Checked, flow: Flow | None
) -> tuple[str, Parameters, bool]:
    """What a function that is to be a task (or `what` it is to be) is called, what it takes, and
    whether it is a coroutine's. Raises RegistrationError for what cannot be one, and for arguments
    that its options name, and it has not."""
    if isinstance(function, TaskBase):
        raise RegistrationError(f"{function.name} is a task already")
    if not callable(function) or inspect.isclass(function):
        raise RegistrationError(f"{function!r} is no function; a {what} is one")
    called = name or task_name(function)
    parameters = read_parameters(function, called)
    check_names("key=", called, defaults.key_by, parameters)
    check_names("limit= or rate=", called, () if flow is None else flow.by, parameters)
    return called, parameters, inspect.iscoroutinefunction(function)


def enter_task(registry: Registry, entry: TaskEntry) -> None:
    """Let a registry know a task. Raises RegistrationError for limits that its queue cannot hold,
    and for a name that another one has: they are told apart by nobody."""
    if entry.flow is not None and is_fifo(entry.queue):
        raise RegistrationError(
            f"{entry.name} has limits and the FIFO queue {entry.queue!r}, which runs one of each "
            "group at once and knows no other limit; use a standard queue"
        )
    tasks = task_engine(registry).tasks
    for name in (entry.name, *entry.aliases):
        before = tasks.get(entry.queue, name)
        if before is not None and name_of(before.handler) != name_of(entry.handler):
            raise RegistrationError(
                f"queue {entry.queue!r} has a task {name!r} already: {name_of(before.handler)}; "
                f"give {name_of(entry.handler)} another name="
            )
    registry.enter(entry, f"{KIND} {entry.name}")
    tasks.add(entry)


def _with_rules(
    policy: RetryPolicy,
    retry_on: Sequence[type[BaseException]] | None,
    give_up_on: Sequence[type[BaseException]],
) -> RetryPolicy:
    rules = dict(policy.rules)
    for kind in (*(retry_on or ()), *give_up_on):
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise RegistrationError(f"{kind!r} is no exception type")
    if retry_on is not None:
        rules.setdefault(BaseException, None)
        rules.setdefault(Retry, policy)
        rules.update(dict.fromkeys(retry_on, policy))
    rules.update(dict.fromkeys(give_up_on, None))
    return policy if rules == policy.rules else _replaced(policy, rules)


def _replaced(policy: RetryPolicy, rules: Mapping[type[BaseException], Any]) -> RetryPolicy:
    return RetryPolicy(
        policy.retries, policy.backoff, policy.factor, policy.maximum, policy.jitter, rules
    )
