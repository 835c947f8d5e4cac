"""Messages that come from another broker: stored as they are, and noted by the batch."""

from collections.abc import Sequence

import msgspec

from taskflow.broker.handover import HANDOVER, Handed
from taskflow.brokers.stored.leaving_batch import drop_returned
from taskflow.brokers.stored.lookup import find_queue
from taskflow.stores.row import Row
from taskflow.stores.rows import Rows

REMEMBERED = 14 * 86400.0  # seconds: no message lives longer
numbers_of = msgspec.json.Decoder(list[int]).decode
"""What `note_taken` wrote."""


def taken_name(batch: str) -> str:
    """Under what it is noted that a batch was taken in."""
    return f"{HANDOVER}/{batch}"


def store(rows: Rows, queue: str, messages: Sequence[Handed], now: float) -> None:
    """Store messages of another broker, but for those that the queue holds."""
    row = find_queue(rows, queue)
    rows.expire(row.id, now - row.settings.retention)  # one of them may have the same id
    drop_returned(rows, row, messages, now)
    rows.handover.add(row, [_row(rows, one) for one in messages], now)


def note_taken(rows: Rows, name: str, messages: Sequence[Handed], now: float) -> None:
    """Note under this name that these were taken in."""
    numbers = [one.number for one in messages]
    rows.records.note_applied(name, msgspec.json.encode(numbers).decode(), now + REMEMBERED)


def _row(rows: Rows, one: Handed) -> Row:
    source = None if one.source is None else rows.queue(one.source)
    return Row(
        one.number,
        one.id,
        one.topic,
        one.receive_count,
        one.first_received_at,
        one.sent_at,
        one.visible_at,
        None if source is None else source.id,
        one.body,
        one.attributes,
        one.extra,
        one.receipt,
        one.level,
        one.slot,
    )
