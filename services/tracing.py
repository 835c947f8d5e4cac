"""Spans of what the services do beside events: HTTP, gRPC, mail. Nothing, until somebody traces.

(`taskflow.telemetry.otel` does; only then is OpenTelemetry imported.)
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import grpc

from taskflow.telemetry.tracing import active

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def span(name: str) -> AbstractContextManager[Any]:
    """Around a call of somebody else's server (CLIENT)."""
    if active() is None:
        return nullcontext()
    from opentelemetry import trace

    return trace.get_tracer("services").start_as_current_span(name, kind=trace.SpanKind.CLIENT)


def traced(app: App) -> App:
    """A WSGI application in whose requests the caller's trace goes on."""
    if active() is None:
        return app
    from opentelemetry import propagate, trace

    tracer = trace.get_tracer("services")

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        given = {
            name.removeprefix("HTTP_").lower().replace("_", "-"): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        method = environ["REQUEST_METHOD"]
        with tracer.start_as_current_span(
            f"{method} {environ['PATH_INFO']}" if environ["PATH_INFO"] == "/orders" else method,
            propagate.extract(given),
            trace.SpanKind.SERVER,
        ) as found:

            def start(status: str, headers: Any, *more: Any) -> Any:
                if found.is_recording():
                    found.set_attribute("http.request.method", method)
                    found.set_attribute("http.response.status_code", int(status.split()[0]))
                return start_response(status, headers, *more)

            return app(environ, start)

    return serve


def traced_channel(channel: grpc.Channel) -> grpc.Channel:
    """A gRPC channel whose calls take the trace with them."""
    if active() is None:
        return channel
    from services.traced_calls import TracedCalls

    return grpc.intercept_channel(channel, TracedCalls())


def server_interceptors() -> list[grpc.ServerInterceptor]:
    """What a gRPC server needs so that the trace of its callers goes on."""
    if active() is None:
        return []
    from services.traced_rpcs import TracedRpcs

    return [TracedRpcs()]
