"""What an `async def` workflow's function gets: the same as `Run`, awaited."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Concatenate, Literal, NoReturn, ParamSpec, TypeVar, overload
from uuid import UUID

from taskflow.broker.own_sql import Sql
from taskflow.clock import Instant
from taskflow.durations import Duration
from taskflow.retry import RetryPolicy
from taskflow.tasks.canvas.call import Call
from taskflow.tasks.task import TaskBase
from taskflow.workflows.async_step import run_step_async
from taskflow.workflows.async_step_of import AsyncStepOf
from taskflow.workflows.durably import Durably
from taskflow.workflows.parallel_steps import check_parts, raise_worst
from taskflow.workflows.steering import calls_of
from taskflow.workflows.step_options import PLAIN, check_step_options
from taskflow.workflows.step_run import StepRun

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class AsyncRun(Durably):
    """The context of an `async def` workflow: as `Run`, but that its methods are awaited. A step
    has its name, and its number, when the method is called, whenever it is awaited. `def` functions
    run in a thread."""

    @overload
    def step(
        self, function: Callable[P, Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[R]: ...
    @overload
    def step(
        self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[R]: ...
    def step(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """As `Run.step`."""
        return run_step_async(StepRun(self.open(), PLAIN, function, args, kwargs))

    def options(
        self,
        *,
        name: str | None = None,
        key: object = None,
        retries: int = 0,
        backoff: float = 1.0,
        policy: RetryPolicy | None = None,
        timeout: Duration | None = None,
        at_most_once: bool = False,
    ) -> AsyncStepOf:
        """As `Run.options`; `timeout`: a coroutine that takes longer is cancelled, and has failed
        with TimeoutError."""
        chosen = check_step_options(
            name=name,
            key=key,
            retries=retries,
            backoff=backoff,
            policy=policy,
            timeout=timeout,
            at_most_once=at_most_once,
        )
        return AsyncStepOf(self.open, chosen)

    async def transaction(
        self, function: Callable[Concatenate[Sql, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """As `Run.transaction`; the function is a `def`, and runs in a thread."""
        return await AsyncStepOf(self.open, PLAIN).transaction(function, *args, **kwargs)

    async def transaction_on(
        self,
        database: Any,
        function: Callable[Concatenate[Any, P], R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """As `Run.transaction_on`; the function is a `def`, and runs in a thread."""
        return await AsyncStepOf(self.open, PLAIN).transaction_on(
            database, function, *args, **kwargs
        )

    async def gather(self, *parts: Call | tuple[Any, ...] | Awaitable[Any]) -> list[Any]:
        """Several at once: `(function, *arguments)` and `ctx.step(…)` are steps, `task.s(…)` a
        child run. Answers what they return, in order. Raises as the first of them did that failed,
        when all have ended."""
        steering = self.steering
        check_parts([one for one in parts if not isinstance(one, Awaitable)])
        answers: list[Any] = [None] * len(parts)
        errors: list[BaseException | None] = [None] * len(parts)
        waits: list[tuple[int, Awaitable[Any]]] = []

        async def run(at: int, part: Awaitable[Any]) -> None:
            try:
                answers[at] = await part
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                errors[at] = error

        with steering.journal.side_by_side():
            for at, part in enumerate(parts):
                try:
                    if isinstance(part, Call):
                        name = f"call:{part.target.name}"
                        (end,) = steering.runs(name, [part], alone=True)
                        answers[at] = end.value(Any)
                    elif isinstance(part, tuple):
                        waits.append((at, self.step(part[0], *part[1:])))
                    else:
                        waits.append((at, part))
                except BaseException as error:
                    errors[at] = error
            await asyncio.gather(*(run(at, part) for at, part in waits))
        raise_worst(errors)
        return answers

    async def sleep(self, duration: Duration) -> None:
        """As `Run.sleep`."""
        self.steering.sleep(duration)

    async def sleep_until(self, moment: Instant) -> None:
        """As `Run.sleep_until`."""
        self.steering.sleep_until(moment)

    @overload
    async def wait(self, name: str, timeout: Duration | None = None) -> Any: ...
    @overload
    async def wait(
        self, name: str, timeout: Duration | None = None, *, type: type[T]
    ) -> T | None: ...
    async def wait(self, name: str, timeout: Duration | None = None, *, type: Any = Any) -> Any:
        """As `Run.wait`."""
        return self.steering.wait(name, timeout, type)

    async def call(self, task: TaskBase[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """As `Run.call`."""
        steering = self.steering
        task.parameters.check(task.name, args, kwargs)
        (end,) = steering.runs(f"call:{task.name}", [task.s(*args, **kwargs)], alone=True)
        answer: R = end.value(task.parameters.returns)
        return answer

    @overload
    async def map(
        self,
        task: TaskBase[..., R],
        items: Iterable[Any],
        *,
        limit: int | None = None,
        errors: Literal["stop"] = "stop",
    ) -> list[R]: ...
    @overload
    async def map(
        self,
        task: TaskBase[..., Any],
        items: Iterable[Any],
        *,
        limit: int | None = None,
        errors: Literal["collect"],
    ) -> list[dict[str, Any]]: ...
    async def map(
        self,
        task: TaskBase[..., Any],
        items: Iterable[Any],
        *,
        limit: int | None = None,
        errors: Literal["stop", "collect"] = "stop",
    ) -> list[Any]:
        """As `Run.map`."""
        calls = calls_of(task, [(item,) for item in items])
        ends = self.steering.runs(f"map:{task.name}", calls, errors=errors, limit=limit)
        returns = task.parameters.returns
        if errors == "collect":
            return [one.outcome(returns) for one in ends]
        return [one.value(returns) for one in ends]

    def now(self) -> float:
        """As `Run.now`; not awaited."""
        return self.steering.now()

    def uuid(self) -> UUID:
        """As `Run.uuid`; not awaited."""
        return self.steering.uuid()

    def random(self) -> float:
        """As `Run.random`; not awaited."""
        return self.steering.random()

    def patched(self, name: str) -> bool:
        """As `Run.patched`; not awaited."""
        return self.steering.patched(name)

    def restart(self, *args: Any, **kwargs: Any) -> NoReturn:
        """As `Run.restart`; not awaited."""
        self.steering.restart(args, kwargs)
