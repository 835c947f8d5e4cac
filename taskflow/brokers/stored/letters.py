"""Messages as they are handed out, and what makes a dead letter of one, or a new one of that."""

import json
from collections.abc import Sequence

from taskflow.brokers.stored.lookup import find_queue
from taskflow.errors import LimitExceeded
from taskflow.message import FAILURE, Delivery
from taskflow.stores.message_columns import read_attributes, read_extra
from taskflow.stores.row import PARKED_AT, Moved, QueueRow, Row
from taskflow.stores.rows import Rows
from taskflow.wire.failure_record import never_finished, write_failure


def delivery(
    rows: Rows,
    row: Row,
    queue: QueueRow,
    receive_count: int,
    first_received_at: float,
    receipt: str = "",
    until: float | None = None,
) -> Delivery:
    """A row as it is handed out."""
    # One that waits for its slot is due as long as it has been there.
    visible_at = row.sent_at if row.visible_at == PARKED_AT else row.visible_at
    made = Delivery(
        row.id,
        row.topic,
        row.body,
        read_attributes(row.attributes),
        queue.name,
        receipt,
        receive_count,
        row.sent_at,
        first_received_at,
        visible_at if until is None else until,
        False,
        row.seq,
    )
    if row.extra is not None:
        extra = read_extra(row.extra)
        made.group, made.deduplication_id = extra.group, extra.deduplication_id
        made.trace, made.sender, made.subject = extra.trace, extra.sender, extra.subject
        made.received_before = extra.received
        made.run, made.expires_at = extra.run, extra.expires_at
        made.priority, made.headers, made.slot = extra.priority, extra.headers, extra.slot
    if row.slot is not None:
        made.slot = row.slot
    if row.source is not None and (source := rows.queue_of(row.source)):
        made.source = source.name
    return made


def anew(letter: Row, now: float) -> Row:
    """A dead letter as it goes back: without its failure record, sent now."""
    attributes = json.loads(letter.attributes)
    attributes.pop(FAILURE, None)
    return letter._replace(attributes=json.dumps(attributes), sent_at=now)


def bury(rows: Rows, queue: QueueRow, failed: Sequence[tuple[Row, str]], now: float) -> set[str]:
    """Move rows into the DLQ, each with its failure record; answers the queues to ring: the DLQ,
    and a queue of which a row may have kept others back: its group, or its slot."""
    target = queue.settings.dead_letter_queue
    if target is None:
        raise LimitExceeded(f"queue {queue.name!r} has no dead-letter queue")
    to = find_queue(rows, target)
    letters = []
    for row, failure in failed:
        attributes = json.loads(row.attributes) | {FAILURE: failure}
        letters.append(Moved(row._replace(attributes=json.dumps(attributes)), to, queue.id))
    rows.move(queue.id, letters, now)
    rows.expire(to.id, now - to.settings.retention)
    rows.tally(queue.id, 0, len(failed))
    freed = rows.unpark(queue.id, [row.slot for row, _ in failed if row.slot is not None])
    return {target, queue.name} if queue.fifo or freed else {target}


def bury_worn(rows: Rows, queue: QueueRow, worn: Sequence[Row], now: float) -> set[str]:
    """Bury rows that were received too often, each with a failure record that says so."""
    failed = []
    for row in worn:
        count = row.receive_count
        lost = delivery(rows, row, queue, count, row.first_received_at or 0.0)
        failed.append((row, write_failure(never_finished(count), lost, count, now)))
    return bury(rows, queue, failed, now)
