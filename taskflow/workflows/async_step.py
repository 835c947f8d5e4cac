"""A step of an `async def` workflow, run to its end without holding up the event loop."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from taskflow.workflows.aside import aside
from taskflow.workflows.step_run import StepRun


async def run_step_async(step: StepRun) -> Any:
    """Run a step to its end, unless that is kept. The workflow does not end before it has."""
    if step.over:
        return step.answer()
    with _busy(step):
        await aside(step.prepare)
        step.enter()
        try:
            value = await _call(step)
        except Exception as error:
            if (reason := step.failed(error)) is error:
                raise
            raise reason from error
        finally:
            step.end()
        return await aside(step.returned, value)


async def in_thread(step: StepRun, run: Callable[[], Any]) -> Any:
    """Run a step in a thread. The workflow does not end before it has."""
    with _busy(step):
        return await aside(run)


@contextmanager
def _busy(step: StepRun) -> Iterator[None]:
    done = asyncio.get_running_loop().create_future()
    step.journal.busy.add(done)
    try:
        yield
    finally:
        step.journal.busy.discard(done)
        if not done.done():
            done.set_result(None)


async def _call(step: StepRun) -> Any:
    function = step.function
    if not inspect.iscoroutinefunction(getattr(function, "function", function)):
        value = await aside(step.call)
        return await value if inspect.iscoroutine(value) else value
    async with asyncio.timeout(step.timeout):
        return await step.call()
