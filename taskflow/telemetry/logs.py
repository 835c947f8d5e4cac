"""One line in the log for each attempt."""

import logging

from taskflow.clock import Clock
from taskflow.event import Context
from taskflow.middleware import Middleware, Run
from taskflow.retry import Done, Outcome, Retry, text_of
from taskflow.text import printable

log = logging.getLogger("taskflow.worker")


def log_runs(clock: Clock) -> Middleware:
    """One line per attempt on the logger `taskflow.worker`, with its fields as `extra`.

    INFO when done, WARNING when it will be retried, ERROR with the traceback when dead-lettered.
    Payloads are never logged.
    """

    def log_run(context: Context, run: Run) -> Outcome:
        started = clock.now()
        outcome = run(context)
        if isinstance(outcome, Done):
            word = outcome.skipped or ("duplicate" if outcome.duplicate else "done")
            level, detail = logging.INFO, ""
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
