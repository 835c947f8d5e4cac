"""Opens gRPC channels to the payment service."""

import json

import grpc

from services.tracing import traced_channel

# Only UNAVAILABLE is repeated by itself, within the deadline: the call did not begin, or it is one
# that may be repeated.
_SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{"service": "payment.v1.PaymentService"}],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


def open_payment_channel(
    address: str, credentials: grpc.ChannelCredentials | None = None
) -> grpc.Channel:
    """A channel to the payment service at `address` (host:port), which connects at the first call.
    Without `credentials` it is spoken to in clear."""
    options = [
        ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
        # The default grows to two minutes: too long to find a restarted service.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]
    if credentials is None:
        return traced_channel(grpc.insecure_channel(address, options=options))
    return traced_channel(grpc.secure_channel(address, credentials, options=options))
