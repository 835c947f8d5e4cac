"""Finding the row of a queue or a topic, or saying which there are."""

from taskflow.errors import QueueNotFound, TopicNotFound
from taskflow.stores.row import QueueRow, TopicRow
from taskflow.stores.rows import Rows


def find_topic(rows: Rows, name: str) -> TopicRow:
    """The row of a topic. Raises TopicNotFound."""
    found = rows.topic(name)
    if found is None:
        raise TopicNotFound(name, rows.topics())
    return found


def find_queue(rows: Rows, name: str) -> QueueRow:
    """The row of a queue. Raises QueueNotFound."""
    found = rows.queue(name)
    if found is None:
        raise QueueNotFound(name, rows.queues())
    return found


def sources_of(rows: Rows, name: str) -> list[str]:
    """The queues that have this one as their dead-letter queue."""
    return [
        queue.name for queue, _ in rows.declared(None) if queue.settings.dead_letter_queue == name
    ]
