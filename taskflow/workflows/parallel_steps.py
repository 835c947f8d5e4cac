"""Steps side by side in threads, and child runs beside them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from taskflow.tasks.canvas.call import Call
from taskflow.tasks.durable import Leaving
from taskflow.workflows.aside import one_by_one
from taskflow.workflows.interrupted import Interrupted
from taskflow.workflows.steering import Steering
from taskflow.workflows.step_options import PLAIN
from taskflow.workflows.step_run import StepRun, run_step

AT_ONCE = 32  # threads


def gather(steering: Steering, parts: Sequence[Call | tuple[Any, ...]]) -> list[Any]:
    """What they return, in order. Raises what the first of them did that failed, when all have
    ended; Leaving when one of them is to wait."""
    journal = steering.journal
    check_parts(parts)
    answers: list[Any] = [None] * len(parts)
    errors: list[BaseException | None] = [None] * len(parts)
    steps: list[tuple[int, StepRun]] = []
    with journal.side_by_side():
        for at, part in enumerate(parts):
            try:
                if isinstance(part, Call):
                    name = f"call:{part.target.name}"
                    (end,) = steering.runs(name, [part], alone=True)
                    answers[at] = end.value(Any)
                else:
                    steps.append((at, StepRun(journal, PLAIN, part[0], part[1:], {})))
            except BaseException as error:
                errors[at] = error

        def run(at: int, step: StepRun) -> None:
            try:
                answers[at] = run_step(step)
            except BaseException as error:
                errors[at] = error

        if one_by_one.get():
            for at, step in steps:
                run(at, step)
        elif steps:
            with ThreadPoolExecutor(min(len(steps), AT_ONCE), "taskflow-step") as threads:
                for at, step in steps:
                    threads.submit(copy_context().run, run, at, step)
    raise_worst(errors)
    return answers


def check_parts(parts: Sequence[Any]) -> None:
    """Raise TypeError for what is neither a step nor a call of a task."""
    for part in parts:
        if isinstance(part, Call) or (isinstance(part, tuple) and part and callable(part[0])):
            continue
        raise TypeError(f"gather takes (function, *arguments) and task.s(…); not {part!r}")


def raise_worst(errors: Sequence[BaseException | None]) -> None:
    """Raise what counts most of what was raised side by side, the first of its kind."""
    for kind in (Interrupted, Leaving, BaseException):
        for error in errors:
            if isinstance(error, kind):
                raise error
