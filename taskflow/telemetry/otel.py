"""Spans for OpenTelemetry: the one module that imports it (extra `otel`).

Names are those of the conventions for messaging, which are still in development, as constants of
our own. https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import metadata
from typing import Any

import msgspec
from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from taskflow.errors import DecodeError
from taskflow.event import Context, open_envelope
from taskflow.message import Delivery
from taskflow.middleware import Run
from taskflow.retry import Done, Outcome, Retry
from taskflow.telemetry.tracing import Posting, trace_with
from taskflow.wire.trace_header import header_parent

SCHEMA = "https://opentelemetry.io/schemas/1.44.0"
SYSTEM = "messaging.system"
OPERATION_NAME = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
DESTINATION = "messaging.destination.name"
SUBSCRIPTION = "messaging.destination.subscription.name"
MESSAGE_ID = "messaging.message.id"
CONVERSATION_ID = "messaging.message.conversation_id"
BATCH_COUNT = "messaging.batch.message_count"
ERROR_TYPE = "error.type"
SERVER_ADDRESS, STATUS = "server.address", "http.response.status_code"
HANDLER, ATTEMPT, OUTCOME = "taskflow.handler", "taskflow.attempt", "taskflow.outcome"
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
MOST_LINKS = 128  # what SDKs keep of a span


class TaskflowInstrumentor:
    """`TaskflowInstrumentor().instrument()` before anything is published or run; the automatic
    instrumentation finds it by its entry point. `tracer_provider`: the global one by default."""

    def instrument(self, *, tracer_provider: trace.TracerProvider | None = None, **_: Any) -> None:
        """Trace from now on, in this process."""
        trace_with(OtelTracing(tracer_provider))

    def uninstrument(self, **_: Any) -> None:
        """Trace no more."""
        trace_with(None)


class OtelTracing:
    """A `Tracing` over the API of OpenTelemetry; without an SDK its spans are nothing."""

    def __init__(self, provider: trace.TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("taskflow", _version(), provider, SCHEMA)

    @contextmanager
    def sending(self, destination: str, count: int, causes: Sequence[str | None]) -> Iterator[None]:
        """`send` (PRODUCER). In the trace of the one message that was made earlier; of several
        such it has links."""
        contexts = _contexts(causes)
        parent = _within(contexts[0]) if count == 1 and contexts else None
        links = [] if parent is not None else [Link(one) for one in contexts]
        with self._tracer.start_as_current_span(
            f"send {destination}", parent, SpanKind.PRODUCER, links=links
        ) as span:
            if span.is_recording():
                span.set_attributes(_about("send", "send", destination))
                if count > 1:
                    span.set_attribute(BATCH_COUNT, count)
            yield

    def carried(self) -> str | None:
        """As of a Tracing."""
        found = trace.get_current_span().get_span_context()
        if not found.is_valid:
            return None
        return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"

    def received(self, deliveries: Sequence[Delivery], began: float, ended: float) -> None:
        """`receive` (CLIENT), with links to what made the messages."""
        span = self._of_batch("receive", deliveries, int(began * 1e9))
        span.end(int(ended * 1e9))

    @contextmanager
    def settling(self, deliveries: Sequence[Delivery]) -> Iterator[None]:
        """`settle` (CLIENT), with the same links. It is not the current span: what follows a task
        is sent while that is settled, and belongs to the task's trace."""
        span = self._of_batch("settle", deliveries)
        try:
            yield
        finally:
            span.end()

    @contextmanager
    def posting(self, topic: str, host: str, delivery: Delivery) -> Iterator[Posting]:
        """`post` (CLIENT), a child of what sent the message, and so is what the URL does: the
        headers are those of the propagators that are set, `traceparent` and `tracestate`. The URL
        itself is in no attribute: it may hold secrets."""
        parent = _posted(delivery)
        with self._tracer.start_as_current_span(
            f"post {topic}",
            otel_context.Context() if parent is None else _within(parent),
            SpanKind.CLIENT,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            headers: dict[str, str] = {}
            propagate.inject(headers)
            if span.is_recording():
                span.set_attributes(_about("post", "send", topic))
                span.set_attribute(MESSAGE_ID, delivery.id)
                span.set_attribute(SERVER_ADDRESS, host)
                span.set_attribute(ATTEMPT, delivery.receive_count)

            def answered(status: int) -> None:
                span.set_attribute(STATUS, status)
                if not 200 <= status < 300:
                    _fail(span, str(status))

            try:
                yield Posting(headers, answered)
            except Exception as error:
                _fail(span, type(error).__qualname__)
                raise

    def process(self, context: Context, run: Run) -> Outcome:
        """`process` (CONSUMER), a child of what sent the message."""
        event = context.event
        parent = _contexts([event.traceparent or header_parent(context.delivery.trace)])
        with self._tracer.start_as_current_span(
            f"process {context.queue}",
            _within(parent[0]) if parent else otel_context.Context(),
            SpanKind.CONSUMER,
        ) as span:
            if not span.is_recording():
                return run(context)
            span.set_attributes(_about("process", "process", context.queue))
            if event.topic and event.topic == context.delivery.topic:
                span.set_attribute(DESTINATION, event.topic)
                span.set_attribute(SUBSCRIPTION, context.queue)
            span.set_attribute(MESSAGE_ID, event.id)
            if event.correlation_id is not None:
                span.set_attribute(CONVERSATION_ID, event.correlation_id)
            span.set_attribute(HANDLER, context.handler)
            span.set_attribute(ATTEMPT, context.attempt)
            outcome = run(context)
            _note(span, outcome)
            return outcome

    def _of_batch(
        self, operation: str, deliveries: Sequence[Delivery], start: int | None = None
    ) -> Span:
        queues = {one.queue for one in deliveries}
        destination = queues.pop() if len(queues) == 1 else None
        span = self._tracer.start_span(
            operation if destination is None else f"{operation} {destination}",
            otel_context.Context(),
            SpanKind.CLIENT,
            start_time=start,
        )
        if span.is_recording():
            span.set_attributes(_about(operation, operation, destination))
            span.set_attribute(BATCH_COUNT, len(deliveries))
            for found in _contexts(_cause(one) for one in deliveries[:MOST_LINKS]):
                span.add_link(found)
        return span


def _about(name: str, kind: str, destination: str | None) -> Mapping[str, str]:
    found = {SYSTEM: "taskflow", OPERATION_NAME: name, OPERATION_TYPE: kind}
    return found if destination is None else {**found, DESTINATION: destination}


def _note(span: Span, outcome: Outcome) -> None:
    if isinstance(outcome, Done):
        word = outcome.skipped or ("duplicate" if outcome.duplicate else "done")
        span.set_attribute(OUTCOME, word)
        return
    span.set_attribute(OUTCOME, "retry" if isinstance(outcome, Retry) else "dead")
    error = outcome.error
    span.set_attribute(ERROR_TYPE, type(error).__qualname__ if error is not None else "dead")
    if error is not None:
        span.record_exception(error)
    span.set_status(Status(StatusCode.ERROR))


def _fail(span: Span, kind: str) -> None:
    span.set_attribute(ERROR_TYPE, kind)
    span.set_status(Status(StatusCode.ERROR))


class _Traced(msgspec.Struct):
    """What CloudEvents has of traces."""

    traceparent: str | None = None
    tracestate: str | None = None


def _posted(delivery: Delivery) -> SpanContext | None:
    """What sent a message that goes to a URL, which anybody may have written."""
    found = _Traced()
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = msgspec.json.decode(delivery.body, type=_Traced)
    for context in _contexts([found.traceparent or header_parent(delivery.trace)]):
        state = TraceState.from_header([found.tracestate]) if found.tracestate else None
        return SpanContext(context.trace_id, context.span_id, True, context.trace_flags, state)
    return None


def _version() -> str:
    try:
        return metadata.version("taskflow-events")
    except metadata.PackageNotFoundError:  # it runs from a checkout
        return ""


def _cause(delivery: Delivery) -> str | None:
    """The traceparent that a message brought."""
    if delivery.topic:
        with suppress(DecodeError):
            return open_envelope(delivery).traceparent
    return header_parent(delivery.trace)


def _contexts(traceparents: Iterable[str | None]) -> list[SpanContext]:
    """Those of them that can be used."""
    found = [_TRACEPARENT.fullmatch(one or "") for one in traceparents]
    contexts = [
        SpanContext(int(one[1], 16), int(one[2], 16), True, TraceFlags(int(one[3], 16)))
        for one in found
        if one is not None
    ]
    return [one for one in contexts if one.is_valid]


def _within(parent: SpanContext) -> otel_context.Context:
    """A context in which this span is current."""
    return trace.set_span_in_context(NonRecordingSpan(parent), otel_context.Context())
