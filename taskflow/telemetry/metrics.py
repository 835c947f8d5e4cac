"""What the queues hold and how fast it is worked off: as data, as JSON, as Prometheus text."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from taskflow.broker import Broker, QueueCounts, WorkerReport
from taskflow.broker.admin import Admin
from taskflow.broker.settings import TopicSubscription
from taskflow.telemetry.exposition import write_families
from taskflow.telemetry.family import Family, Sample


@dataclass(frozen=True, slots=True)
class Look:
    """A broker at one moment (`at`, epoch seconds). Both mappings are sorted by name.

    `deliveries` counts the hidden queues of HTTP subscriptions, by their name.
    """

    at: float
    queues: Mapping[str, QueueCounts]
    topics: Mapping[str, Sequence[TopicSubscription]]
    deliveries: Mapping[str, QueueCounts]
    workers: Sequence[WorkerReport]
    parked_polls: int


def take_look(broker: Broker, parked_polls: int) -> Look:
    """Look at everything once. What is deleted meanwhile is left out."""
    subscriptions = broker.subscriptions()
    topics: dict[str, list[TopicSubscription]] = {name: [] for name in broker.topics()}
    for one in subscriptions:
        if one.topic in topics:
            topics[one.topic].append(one)
    hidden = [one.queue for one in subscriptions if one.protocol != "sqs"]
    return Look(
        broker.clock.now(),
        _count(broker, None),
        topics,
        _count(broker, hidden) if hidden else {},
        broker.workers(),
        parked_polls,
    )


def _count(broker: Admin, names: Collection[str] | None) -> dict[str, QueueCounts]:
    return {name: one.counts for name, one in broker.survey(names).items()}


# ---- JSON ---------------------------------------------------------------------------------------
def write_stats(look: Look) -> bytes:
    """A look as JSON: the queues as `taskflow queues --json` shows them, and the rest."""
    stats = {
        "at": look.at,
        "queues": [{"name": name, **asdict(counts)} for name, counts in look.queues.items()],
        "topics": [
            {"name": name, "subscriptions": len(found)} for name, found in look.topics.items()
        ],
        "workers": [
            {
                "id": worker.id,
                "host": worker.host,
                "pid": worker.pid,
                "queues": worker.queues,
                "started_at": worker.started_at,
                "seen_at": worker.seen_at,
                "busy": worker.busy,
                "slots": worker.slots,
            }
            for worker in look.workers
        ],
        "parked_polls": look.parked_polls,
    }
    return json.dumps(stats).encode()


# ---- Prometheus ---------------------------------------------------------------------------------
# Field of QueueCounts: name of the metric, its type, what it is.
_QUEUE_METRICS: dict[str, tuple[str, Literal["counter", "gauge"], str]] = {
    "visible": ("visible_messages", "gauge", "Messages that may be received now."),
    "in_flight": ("in_flight_messages", "gauge", "Messages received and still hidden."),
    "delayed": ("delayed_messages", "gauge", "Messages never received and not yet due."),
    "oldest_age_seconds": (
        "oldest_message_age_seconds",
        "gauge",
        "Seconds since the oldest message of the queue was sent, 0 when it is empty.",
    ),
    "due_age_seconds": (
        "due_message_age_seconds",
        "gauge",
        "Seconds for which the message that is due the longest may be received, 0 when none is.",
    ),
    "paused": ("paused", "gauge", "1 when nobody may receive from the queue."),
    "handled": ("handled_total", "counter", "Messages deleted by who received them."),
    "dead_lettered": (
        "dead_lettered_total",
        "counter",
        "Messages moved to the dead-letter queue.",
    ),
    "expired": ("expired_total", "counter", "Messages dropped at the end of their retention."),
}


def write_prometheus(look: Look) -> bytes:
    """A look in the text format of Prometheus."""
    families = [
        Family(
            f"taskflow_queue_{metric}",
            kind,
            help,
            [
                Sample({"queue": queue}, getattr(counts, field))
                for queue, counts in look.queues.items()
            ],
        )
        for field, (metric, kind, help) in _QUEUE_METRICS.items()
    ]
    for name, help, value in (
        ("taskflow_parked_polls", "Long polls that wait at this server.", look.parked_polls),
        ("taskflow_workers", "Workers seen within the last 30 seconds.", len(look.workers)),
    ):
        families.append(Family(name, "gauge", help, [Sample({}, value)]))
    return write_families(families)
