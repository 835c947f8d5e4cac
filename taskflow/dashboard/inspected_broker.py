"""What is asked of a broker that can be inspected; of others there is nothing to say."""

from collections.abc import Collection, Mapping, Sequence

from taskflow.broker import Broker
from taskflow.broker.cause import Cause
from taskflow.broker.history import Point, Span


def causes_of(broker: Broker) -> list[Cause]:
    """Dead letters by cause, the most first; none where the broker does not tell."""
    return broker.causes() if broker.features.inspection else []


def history_of(
    broker: Broker, span: Span, queues: Collection[str] = ()
) -> Mapping[str, Sequence[Point]]:
    """What queues looked like; nothing where nobody writes it down."""
    return broker.history(span, queues) if broker.features.runs else {}
