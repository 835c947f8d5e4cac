"""The function that a worker calls for a ported task: it sets `self.request`, then calls the
task's."""

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from taskflow import errors
from taskflow.celery.exceptions import Ignore, Reject
from taskflow.celery.request import read_request, requested
from taskflow.event import Context

if TYPE_CHECKING:
    from taskflow.celery.celery_task import CeleryTask

CONTEXT = "taskflow_context"
"""The parameter that takes taskflow's own context."""


def make_handler(task: "CeleryTask") -> Callable[..., Any]:
    """The function, with the signature that calls are checked against: that of the task without its
    `self`. Annotations count for nothing, as in Celery, but with `pydantic=True`."""
    function = task.function

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        context: Context = kwargs.pop(CONTEXT)
        with requested(read_request(task.name, context, args, kwargs)), _translated():
            return task.run(*args, **kwargs)
        return None

    @functools.wraps(function)
    async def call_async(*args: Any, **kwargs: Any) -> Any:
        context: Context = kwargs.pop(CONTEXT)
        with requested(read_request(task.name, context, args, kwargs)), _translated():
            return await task.run(*args, **kwargs)
        return None

    handler: Any = call_async if inspect.iscoroutinefunction(function) else call
    handler.__signature__ = _signature(task)
    handler.__annotations__ = {CONTEXT: Context}
    if task.options.pydantic:
        named = {name: hint for name, hint in function.__annotations__.items() if name != "return"}
        handler.__annotations__ = {**named, CONTEXT: Context}
    made: Callable[..., Any] = handler
    return made


@contextmanager
def _translated() -> Iterator[None]:
    """What a task raises in Celery's words, in ours."""
    try:
        yield
    except Ignore:
        return
    except Reject as error:
        if error.requeue:
            raise errors.Retry(0.0, f"rejected, to be tried again: {error.reason}") from error
        raise errors.Reject(error.reason or "rejected") from error


def _signature(task: "CeleryTask") -> inspect.Signature:
    kinds = inspect.Parameter
    parameters = list(inspect.signature(task.function).parameters.values())
    if task.options.bind:
        del parameters[:1]
    if not task.options.typing:
        parameters = [kinds("args", kinds.VAR_POSITIONAL), kinds("kwargs", kinds.VAR_KEYWORD)]
    at = len(parameters)
    if parameters and parameters[-1].kind is kinds.VAR_KEYWORD:
        at -= 1
    parameters.insert(at, kinds(CONTEXT, kinds.KEYWORD_ONLY, annotation=Context))
    return inspect.Signature(parameters)
