"""A filter for logging that puts on every line of a run which run it is of."""

import logging

from taskflow.event import running
from taskflow.telemetry.tracing import carried
from taskflow.wire.trace_header import header_parent

NONE = "-"  # what a field holds on lines that are of no run
FIELDS = ("event", "topic", "queue", "handler", "attempt", "trace_id", "span_id")


class RunFields(logging.Filter):
    """Puts the FIELDS on each record, `-` where there is none; what it has by `extra` stays. Lets
    every record through.

    For a *handler* of logging: filters of a logger see only what is logged on that very logger. It
    must be the first that gets the record in the thread or task that logs, so before a queue.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """As of logging."""
        context = running.get()
        trace = carried()
        found: tuple[object, ...] = ()
        if context is not None:
            event = context.event
            trace = trace or event.traceparent or header_parent(context.delivery.trace)
            found = (event.id, event.topic or NONE, context.queue, context.handler, context.attempt)
        # A traceparent may come from anybody who can send.
        parts = (trace or "").split("-")
        ids = (parts[1], parts[2]) if len(parts) >= 4 else (NONE, NONE)
        for name, value in zip(FIELDS, (*(found or (NONE,) * 5), *ids), strict=True):
            record.__dict__.setdefault(name, value)
        return True
