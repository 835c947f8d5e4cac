"""A span for each gRPC call that a service answers, in the trace of who calls."""

from collections.abc import Callable
from typing import Any

import grpc
from opentelemetry import propagate, trace


class TracedRpcs(grpc.ServerInterceptor):
    """Of calls with one request and one answer; others pass as they are."""

    def intercept_service(self, continuation: Callable[..., Any], handler_call_details: Any) -> Any:
        """As gRPC calls it."""
        handler = continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler
        name = handler_call_details.method.removeprefix("/")
        parent = propagate.extract(dict(handler_call_details.invocation_metadata))

        def answer(request: Any, context: Any) -> Any:
            with trace.get_tracer("services").start_as_current_span(
                name, parent, trace.SpanKind.SERVER
            ):
                return handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(
            answer, handler.request_deserializer, handler.response_serializer
        )
