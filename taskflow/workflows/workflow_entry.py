"""What a worker knows of a workflow on one of its queues, and how an attempt of it is run."""

import asyncio
import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from taskflow.broker import Broker
from taskflow.errors import StepFailed
from taskflow.outgoing import outgoing
from taskflow.tasks.task_context import TaskContext
from taskflow.tasks.task_entry import TaskEntry
from taskflow.tasks.work import Work
from taskflow.workflows.async_run import AsyncRun
from taskflow.workflows.durably import Durably
from taskflow.workflows.interrupted import Interrupted
from taskflow.workflows.journal import Journal
from taskflow.workflows.run_context import Run
from taskflow.workflows.steering import Steering
from taskflow.workflows.step_run import running

log = logging.getLogger("taskflow.workflows")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowEntry(TaskEntry):
    """`strict`: a run whose steps are not those that its code takes fails."""

    strict: bool = False

    @property
    def context_type(self) -> type[TaskContext]:
        """`Run`, or `AsyncRun`."""
        return AsyncRun if self.is_async else Run

    def begin(self, work: Work, broker: Broker) -> None:
        """An attempt begins, with the steps that are kept."""
        assert self.durable is not None
        journal = Journal(broker, work, version=self.durable.version, strict=self.strict)
        journal.load()
        work.steering, work.outgoing = Steering(journal), journal.outgoing
        outgoing.set(journal.outgoing)
        running.set(None)


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of a `def` workflow as an attempt calls it."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        journal = _context(args, kwargs).journal
        try:
            value = function(*args, **kwargs)
        except BaseException as error:
            if (reason := _reason(journal, error)) is error:
                raise
            raise reason from reason.__cause__
        return _end(journal, value)

    return run


def guarded_async(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of an `async def` workflow as an attempt calls it."""

    @functools.wraps(function)
    async def run(*args: Any, **kwargs: Any) -> Any:
        journal = _context(args, kwargs).journal
        try:
            value = await function(*args, **kwargs)
        except BaseException as error:
            if not isinstance(error, asyncio.CancelledError):
                await _quiet(journal)
            if (reason := _reason(journal, error)) is error:
                raise
            raise reason from reason.__cause__
        await _quiet(journal)
        return _end(journal, value)

    return run


def _context(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Durably:
    return next(one for one in (*args, *kwargs.values()) if isinstance(one, Durably))


async def _quiet(journal: Journal) -> None:
    """Wait for steps that the code began and does not wait for: one that waits leaves the others
    behind."""
    while journal.busy:
        await asyncio.wait(set(journal.busy))


def _reason(journal: Journal, error: BaseException) -> BaseException:
    """Why the function is left. A failure that the code did not go on from is that of the step's
    function: it is the run's to be tried again, and the step with it."""
    if journal.left is not None and not isinstance(error, Interrupted):
        return journal.left
    if isinstance(error, StepFailed) and error in journal.fresh_failures:
        return error.__cause__ or error
    return error


def _end(journal: Journal, value: Any) -> Any:
    journal.check()
    if journal.left is not None:  # a bare `except:` has caught it
        log.warning(
            "run %s waits, and its code has caught that: let BaseException pass", journal.run
        )
        raise journal.left
    for step in journal.unvisited():
        journal.drift.note(f"{step}: it was a step, and is none any more")
    return value
