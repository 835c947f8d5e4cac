"""A span for each gRPC call that a service makes, and its context on the way (metadata)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import grpc
from opentelemetry import propagate, trace


class _Details(NamedTuple):
    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: Any
    compression: Any


class TracedCalls(grpc.UnaryUnaryClientInterceptor):
    """Of calls that are waited for: the span ends with the answer."""

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: Any, request: Any
    ) -> Any:
        """As gRPC calls it."""
        given = client_call_details
        method = given.method.decode() if isinstance(given.method, bytes) else given.method
        with trace.get_tracer("services").start_as_current_span(
            method.removeprefix("/"), kind=trace.SpanKind.CLIENT
        ) as span:
            carrier: dict[str, str] = {}
            propagate.inject(carrier)
            details = _Details(
                given.method,
                given.timeout,
                [*(given.metadata or ()), *carrier.items()],
                given.credentials,
                getattr(given, "wait_for_ready", None),
                getattr(given, "compression", None),
            )
            call = continuation(details, request)
            code = call.code()
            if code is not grpc.StatusCode.OK and span.is_recording():
                span.set_attribute("error.type", code.name)
                span.set_status(trace.Status(trace.StatusCode.ERROR))
            return call
