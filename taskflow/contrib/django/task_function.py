"""The function that a worker calls for a task of Django's."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from taskflow.contrib.django.interface import TaskContext, normalize_json, task_started
from taskflow.tasks.task_context import TaskContext as OurContext

CONTEXT = "taskflow_context"
"""The parameter that takes taskflow's own context."""
Describe = Callable[[OurContext], Any]


def make_handler(
    function: Callable[..., Any], takes_context: bool, sender: type, describe: Describe
) -> Callable[..., Any]:
    """The function, with the signature that calls are checked against; `describe` makes the
    TaskResult of a run, which the signal tells, and the function if it takes Django's context.
    Annotations count for nothing, as with Django: arguments and results are JSON."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        result = describe(kwargs.pop(CONTEXT))
        task_started.send(sender, task_result=result)
        first = (TaskContext(task_result=result),) if takes_context else ()
        return normalize_json(function(*first, *args, **kwargs))

    @functools.wraps(function)
    async def call_async(*args: Any, **kwargs: Any) -> Any:
        result = describe(kwargs.pop(CONTEXT))
        await task_started.asend(sender, task_result=result)
        first = (TaskContext(task_result=result),) if takes_context else ()
        return normalize_json(await function(*first, *args, **kwargs))

    handler: Any = call_async if inspect.iscoroutinefunction(function) else call
    handler.__signature__ = _signature(function, takes_context)
    handler.__annotations__ = {CONTEXT: OurContext}
    made: Callable[..., Any] = handler
    return made


def _signature(function: Callable[..., Any], takes_context: bool) -> inspect.Signature:
    kinds = inspect.Parameter
    parameters = list(inspect.signature(function).parameters.values())[int(takes_context) :]
    at = len(parameters)
    if parameters and parameters[-1].kind is kinds.VAR_KEYWORD:
        at -= 1
    parameters.insert(at, kinds(CONTEXT, kinds.KEYWORD_ONLY, annotation=OurContext))
    return inspect.Signature(parameters)
