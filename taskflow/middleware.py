"""Middleware: a function around the run of a handler. Structured logs are one of them."""

import logging
from collections.abc import Callable, Sequence
from functools import partial

from taskflow.clock import Clock
from taskflow.event import Context
from taskflow.retry import Done, Outcome, Retry, text_of
from taskflow.text import printable

Run = Callable[[Context], Outcome]
Middleware = Callable[[Context, Run], Outcome]
"""Called for every attempt. It calls the rest with the context, once, and returns its outcome;
`outcome.error` is the exception, if there was one. What it raises counts as the failure of the
attempt."""

log = logging.getLogger("taskflow.worker")


def wrap(
    run: Run, middleware: Sequence[Middleware], failed: Callable[[BaseException], Outcome]
) -> Run:
    """`run` inside all middleware; the first is outermost.

    What any of them raises becomes an outcome by `failed`, so that those around it see one.
    """
    run = partial(_guard, run, failed)
    for around in reversed(middleware):
        run = partial(_guard, partial(_call, around, run), failed)
    return run


def _guard(run: Run, failed: Callable[[BaseException], Outcome], context: Context) -> Outcome:
    try:
        return run(context)
    except BaseException as error:
        return failed(error)


def _call(around: Middleware, run: Run, context: Context) -> Outcome:
    outcome = around(context, run)
    if not isinstance(outcome, Outcome):
        name = getattr(around, "__qualname__", repr(around))
        raise TypeError(f"middleware {name} returned {outcome!r}, not the outcome of run(context)")
    return outcome


def log_runs(clock: Clock) -> Middleware:
    """One line per attempt on the logger `taskflow.worker`, with its fields as `extra`.

    INFO when done, WARNING when it will be retried, ERROR with the traceback when dead-lettered.
    Payloads are never logged.
    """

    def log_run(context: Context, run: Run) -> Outcome:
        started = clock.now()
        outcome = run(context)
        if isinstance(outcome, Done):
            level, word, detail = logging.INFO, "duplicate" if outcome.duplicate else "done", ""
        elif isinstance(outcome, Retry):
            kind = type(outcome.error).__name__
            level, word = logging.WARNING, "retry"
            said = " ".join(text_of(outcome.error).split())
            detail = f" after={outcome.after:.3f}s error={kind}: {said}"
        else:
            level, word, detail = logging.ERROR, "dead", f" reason={outcome.reason}"
        if log.isEnabledFor(level):
            event = context.event
            fields = {
                "event": event.id,
                "topic": event.topic,
                "queue": context.queue,
                "handler": context.handler,
                "attempt": context.attempt,
                "outcome": word,
                "seconds": round(max(0.0, clock.now() - started), 6),
            }
            # Ids and topics may come from anybody who can send.
            line = " ".join(f"{name}={printable(str(value))}" for name, value in fields.items())
            error = outcome.error if level == logging.ERROR else None
            log.log(level, "%s%s", line, printable(detail), extra=fields, exc_info=error)
        return outcome

    return log_run
