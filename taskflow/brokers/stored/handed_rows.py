"""A row of a message as it goes to another broker, and whether it may go now."""

from typing import NamedTuple

from taskflow.broker.handover import Handed
from taskflow.stores.row import PACED, PARKED_AT, Row
from taskflow.stores.rows import Rows


class Before(NamedTuple):
    """What of a row is other while it is handed out."""

    number: int
    visible_at: float
    first_received_at: float | None
    receipt: int | None


def in_flight(row: Row, now: float) -> bool:
    """Whether somebody has it, or said when it is to be visible again."""
    return row.receipt not in (None, PACED) and now < row.visible_at < PARKED_AT


def before_of(row: Row) -> Before:
    """As the row is now: one that waits for its slot is due."""
    visible_at = row.sent_at if row.visible_at == PARKED_AT else row.visible_at
    return Before(row.seq, visible_at, row.first_received_at, row.receipt if row.lapsed else None)


def handed(rows: Rows, row: Row, before: Before) -> Handed:
    """The message of a row."""
    source = None if row.source is None else rows.queue_of(row.source)
    return Handed(
        number=row.seq,
        id=row.id,
        topic=row.topic,
        body=row.body,
        attributes=row.attributes,
        extra=row.extra,
        sent_at=row.sent_at,
        visible_at=before.visible_at,
        receive_count=row.receive_count,
        first_received_at=before.first_received_at,
        receipt=before.receipt,
        source=None if source is None else source.name,
        level=row.level,
        slot=row.slot,
    )
