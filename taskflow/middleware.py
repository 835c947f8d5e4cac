"""Middleware: a function around the run of a handler."""

from collections.abc import Callable, Sequence
from functools import partial

from taskflow.event import Context
from taskflow.retry import Outcome

Run = Callable[[Context], Outcome]
Middleware = Callable[[Context, Run], Outcome]
"""Called for every attempt. It calls the rest with the context, once, and returns its outcome;
`outcome.error` is the exception, if there was one. What it raises counts as the failure of the
attempt."""


def wrap(
    run: Run, middleware: Sequence[Middleware], failed: Callable[[BaseException], Outcome]
) -> Run:
    """`run` inside all middleware; the first is outermost.

    What any of them raises becomes an outcome by `failed`, so that those around it see one.
    """
    run = partial(_guard, run, failed)
    for around in reversed(middleware):
        run = partial(_call, around, run, failed)
    return run


def _guard(run: Run, failed: Callable[[BaseException], Outcome], context: Context) -> Outcome:
    try:
        return run(context)
    except BaseException as error:
        return failed(error)


def _call(
    around: Middleware, run: Run, failed: Callable[[BaseException], Outcome], context: Context
) -> Outcome:
    try:
        outcome = around(context, run)
        if not isinstance(outcome, Outcome):
            name = getattr(around, "__qualname__", repr(around))
            raise TypeError(
                f"middleware {name} returned {outcome!r}, not the outcome of run(context)"
            )
    except BaseException as error:
        return failed(error)
    return outcome
