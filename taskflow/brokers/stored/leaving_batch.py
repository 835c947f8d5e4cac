"""What is noted of messages that are on their way to another broker."""

from collections.abc import Sequence

import msgspec

from taskflow.broker.change import Put
from taskflow.broker.handover import HANDOVER, Handed
from taskflow.broker.record import Record, RecordQuery
from taskflow.brokers.stored.handed_rows import Before
from taskflow.stores.row import Held, QueueRow
from taskflow.stores.rows import Rows


class LeavingBatch(msgspec.Struct):
    """The value of a batch's record. `receipt` is what its rows carry meanwhile."""

    queue: str
    to: str
    receipt: int
    rows: list[Before]

    @property
    def held(self) -> list[Held]:
        """Its rows, as long as nobody received them since."""
        return [Held(one.number, self.receipt) for one in self.rows]


read_batch = msgspec.json.Decoder(LeavingBatch).decode


def find_batch(rows: Rows, batch: str) -> Record | None:
    """The record of a batch that was handed out here, until it is let go."""
    return rows.records.find(HANDOVER, [batch], 0.0).get(batch)


def drop_returned(rows: Rows, queue: QueueRow, coming: Sequence[Handed], now: float) -> None:
    """Remove what is on its way to another broker and comes from one: it has been there, and what
    is hidden here would be removed when its batch is let go, as if it were still there."""
    ids = {(one.id, one.topic) for one in coming}
    for _, record in rows.records.select(RecordQuery(kind=HANDOVER, limit=1000), None, now):
        batch = read_batch(record.value)
        if batch.queue != queue.name:
            continue
        found = rows.find(queue.id, batch.held)
        gone = {row.seq for row in found if row is not None and (row.id, row.topic) in ids}
        if gone:
            rows.drop(queue.id, gone)
            batch.rows = [one for one in batch.rows if one.number not in gone]
            value = msgspec.json.encode(batch).decode()
            put = Put(kind=HANDOVER, key=record.key, value=value, expected=record.version)
            rows.records.put(put, record.version, now)
