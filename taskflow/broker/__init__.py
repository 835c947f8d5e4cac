"""The seam: what a broker is, and the data that its verbs take and answer."""

from taskflow.broker.broker import Broker
from taskflow.broker.settings import Finish, QueueCounts, QueueSettings, WorkerReport

__all__ = [
    "Broker",
    "Finish",
    "QueueCounts",
    "QueueSettings",
    "WorkerReport",
]
