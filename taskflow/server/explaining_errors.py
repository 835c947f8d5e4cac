"""What a client is told of an error."""

import logging

from taskflow.errors import BrokerError
from taskflow.wire.error_codes import WireError, common_error, in_words_of, translate

log = logging.getLogger("taskflow.server")


def explain(error: Exception, service: str, request_id: str) -> WireError:
    """What the client is told of an error, which the log tells in full when it is ours."""
    match error:
        case WireError():
            return in_words_of(service, error)
        case BrokerError():
            refusal = translate(error, service)
            if not refusal.sender:
                log.warning("%s: %s: %s", request_id, type(error).__name__, error)
            return refusal
    log.error("request %s failed", request_id, exc_info=error)
    return common_error("InternalFailure", "The request failed for an unknown reason.")
