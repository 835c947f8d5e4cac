"""A step of an `async def` workflow, run to its end without holding up the event loop."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from taskflow.workflows.aside import aside, one_by_one
from taskflow.workflows.step_keeper import keeper_of
from taskflow.workflows.step_run import StepRun


async def run_step_async(step: StepRun) -> Any:
    """Run a step to its end, unless that is kept. The workflow does not end before it has."""
    if step.over:
        return step.answer()
    with _busy(step):
        if step.owes:
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
        if one_by_one.get():
            return step.returned(value)
        result = step.encode(value)
        answer = step.decode(result)
        await keeper_of(step.journal.broker).keep(step, result)
        return answer


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
