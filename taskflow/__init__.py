"""taskflow: decorator-based workers for event-driven Python services."""

from taskflow.broker import Broker, QueueCounts, QueueSettings
from taskflow.clock import Clock, SystemClock
from taskflow.config import open_broker
from taskflow.errors import Reject, Retry, TaskflowError
from taskflow.event import Context, Event
from taskflow.middleware import Middleware
from taskflow.publisher import publish, publish_many
from taskflow.registry import Registry, subscribe, use
from taskflow.retry import RetryPolicy
from taskflow.worker.pool import Pool
from taskflow.worker.worker import Worker

__all__ = [
    "Broker",
    "Clock",
    "Context",
    "Event",
    "Middleware",
    "Pool",
    "QueueCounts",
    "QueueSettings",
    "Registry",
    "Reject",
    "Retry",
    "RetryPolicy",
    "SystemClock",
    "TaskflowError",
    "Worker",
    "open_broker",
    "publish",
    "publish_many",
    "subscribe",
    "use",
]
__version__ = "0.1.0"
