"""`Task`: a function that is also called through its queue."""

import functools
import inspect
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Generic, ParamSpec, TypeVar, Unpack, cast, overload

from taskflow import payload as json
from taskflow.broker import Broker
from taskflow.registry import Registry
from taskflow.tasks.call_options import CallOptions, check_options
from taskflow.tasks.calling import Calling
from taskflow.tasks.canvas.call import Call
from taskflow.tasks.canvas.group import Group, group
from taskflow.tasks.parameters import Parameters
from taskflow.tasks.preparing import Target
from taskflow.tasks.result import Result

P = ParamSpec("P")
R = TypeVar("R")


class TaskBase(Generic[P, R]):
    """What a task is beside the function: called by `@task`, never by hand.

    It has the function's name, docstring and signature, and can be pickled by that name. It holds
    no broker: calls go to that of `taskflow.publisher.using`, else to the default one.
    """

    __name__: str
    __qualname__: str

    def __init__(
        self,
        function: Callable[..., Any],
        target: Target,
        parameters: Parameters,
        registry: Registry,
    ) -> None:
        functools.update_wrapper(cast(Any, self), function)
        self.function = function
        self.target = target
        self.parameters = parameters
        self.registry = registry

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.target.name

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> Result[R]:
        """Call it through its queue; returns at once, when that is stored.

        Raises TypeError for arguments that the function does not take or JSON does not hold,
        QueueNotFound before its queue was declared (`taskflow worker` does), LimitExceeded,
        BrokerUnavailable.
        """
        return self._calling().delay(*args, **kwargs)

    async def delay_async(self, *args: P.args, **kwargs: P.kwargs) -> Result[R]:
        """`delay`, without holding up the event loop."""
        return await self._calling().delay_async(*args, **kwargs)

    def send_many(self, calls: Iterable[Any], *, broker: Broker | None = None) -> list[Result[R]]:
        """Call it once for each tuple of arguments (or dict of named ones, or single other value),
        each thousand in one transaction; answers their results in order."""
        return self._calling().send_many(calls, broker=broker)

    async def send_many_async(
        self, calls: Iterable[Any], *, broker: Broker | None = None
    ) -> list[Result[R]]:
        """`send_many`, without holding up the event loop: a thread iterates over the calls."""
        return await self._calling().send_many_async(calls, broker=broker)

    @overload  # a parameter `timeout` of the function itself cannot be given by this name
    def call(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    def call(self, *args: Any, timeout: float | None, **kwargs: Any) -> R: ...
    def call(  # type: ignore[misc]
        self, *args: Any, timeout: float | None = None, **kwargs: Any
    ) -> R:
        """Call it through its queue, and wait for what it returns, `timeout` seconds at most.
        Raises what `delay` and `Result.get` raise. (A type checker sees the arguments where no
        `timeout` is given: Python has no type for a function with one parameter more.)"""
        return self._calling().call(*args, timeout=timeout, **kwargs)

    @overload
    async def call_async(self, *args: P.args, **kwargs: P.kwargs) -> R: ...
    @overload
    async def call_async(self, *args: Any, timeout: float | None, **kwargs: Any) -> R: ...
    async def call_async(  # type: ignore[misc]
        self, *args: Any, timeout: float | None = None, **kwargs: Any
    ) -> R:
        """`call`, without holding up the event loop."""
        return await self._calling().call_async(*args, timeout=timeout, **kwargs)

    def options(self, **options: Unpack[CallOptions]) -> Calling[P, R]:
        """The task with options for its next calls: `add.options(delay="5m").delay(1, 2)`."""
        chosen = check_options(options, self.target.defaults)
        return Calling(self.target, self.parameters, chosen, self.registry)

    def s(self, *args: Any, **kwargs: Any) -> Call:
        """The call as a part of a plan: what comes before it there is its first argument. Raises
        TypeError for what JSON does not hold."""
        return Call(self.target, *json.encode_arguments(args, kwargs))

    def si(self, *args: P.args, **kwargs: P.kwargs) -> Call:
        """The call as a part of a plan, with these arguments whatever comes before it."""
        self.parameters.check(self.name, args, kwargs)
        return Call(self.target, *json.encode_arguments(args, kwargs), immutable=True)

    def map(self, values: Iterable[Any], **options: Any) -> Group:
        """A group of calls, one for each value; options as for `group`."""
        return group([self.s(value) for value in values], **options)

    def starmap(self, values: Iterable[Sequence[Any]], **options: Any) -> Group:
        """A group of calls, one for each list of arguments; options as for `group`."""
        return group([self.s(*value) for value in values], **options)

    def _calling(self) -> Calling[P, R]:
        return Calling(self.target, self.parameters, self.target.defaults, self.registry)

    def __reduce__(self) -> str:
        return self.__qualname__

    def __repr__(self) -> str:
        return f"<task {self.name}>"


class Task(TaskBase[P, R]):
    """A task of a `def` function: a plain call is a plain call."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, here and now."""
        result: R = self.function(*args, **kwargs)
        return result


class AsyncTask(TaskBase[P, R]):
    """A task of an `async def` function: a plain call makes its coroutine."""

    def __init__(
        self,
        function: Callable[..., Any],
        target: Target,
        parameters: Parameters,
        registry: Registry,
    ) -> None:
        super().__init__(function, target, parameters, registry)
        if sys.version_info >= (3, 12):
            inspect.markcoroutinefunction(self)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """The coroutine of the function."""
        coroutine: Coroutine[Any, Any, R] = self.function(*args, **kwargs)
        return coroutine
