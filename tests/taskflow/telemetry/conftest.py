"""Spans as they end, by the SDK's exporter in memory."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskflow.telemetry.tracing import trace_with


@pytest.fixture
def spans() -> Iterator[Callable[[], list[Any]]]:
    """Answers the spans that have ended, in the order that they began; they are made meanwhile."""
    pytest.importorskip("opentelemetry.sdk.trace", reason="opentelemetry-sdk is not installed")
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from taskflow.telemetry.otel import TaskflowInstrumentor

    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):  # there is one for all, and it is set once
        provider = TracerProvider()
        trace.set_tracer_provider(provider)
    exporter = InMemorySpanExporter()
    processor = SimpleSpanProcessor(exporter)
    provider.add_span_processor(processor)
    TaskflowInstrumentor().instrument()
    try:
        yield lambda: sorted(exporter.get_finished_spans(), key=lambda one: one.start_time)
    finally:
        trace_with(None)
        exporter.shutdown()
