"""Moving rows from one queue to another, in SQL."""

from collections.abc import Sequence

from taskflow.stores.message_columns import read_extra, with_received
from taskflow.stores.postgres.columns import LEVEL_OF
from taskflow.stores.postgres.lanes import Lanes
from taskflow.stores.postgres.letters import PostgresLetters
from taskflow.stores.postgres.removal import Removal
from taskflow.stores.postgres.session import Session
from taskflow.stores.row import Moved, QueueRow, Row

# $1 queue, $2 id, $3 topic, $4 now, $5 sent at, $6 source, $7 body, $8 attributes, $9 extra,
# $10 lane, $11 tenant, $12 level, $13 slot
_PUT = """
WITH p AS (
    INSERT INTO tf.payload (seq, place, sent_at, queue, source, id, topic, body, attributes, extra)
    SELECT n, n, $5::float8, $1::int4, $6::int4, $2, $3, $7, $8, $9 FROM nextval('tf.number') n
    RETURNING seq),
m AS (
    INSERT INTO tf.message (seq, place, visible_at, sent_at, queue, lane, tenant, level, slot)
    SELECT seq, seq, $4::float8, $5::float8, $1::int4, $10, $11, $12::int2, $13 FROM p)
SELECT stamp, (SELECT seq FROM p) FROM tf.declared"""


class Moving:
    """A moved row has a new number: it is the last in its new queue."""

    def __init__(
        self, session: Session, lanes: Lanes, removal: Removal, letters: PostgresLetters
    ) -> None:
        self._session = session
        self._lanes = lanes
        self._removal = removal
        self._letters = letters

    def move(self, queue: int, rows: Sequence[Moved], now: float) -> list[bool]:
        with self._session.together():
            groups = set()
            for row, to, _ in rows:
                group = read_extra(row.extra).group if to.fifo else None
                if group is not None:
                    groups.add((to.id, group))
            self._lanes.lock_or_make(groups)
            moved = [self._move(queue, row, to, source, now) for row, to, source in rows]
            self._lanes.refresh_many(groups)
        return moved

    def _move(self, queue: int, row: Row, to: QueueRow, source: int | None, now: float) -> bool:
        if not self._removal.drop(queue, [row.seq]):
            return False
        twin = self._session.first(
            "SELECT seq FROM tf.payload WHERE queue = $1::int4 AND id = $2 AND topic = $3",
            (to.id, row.id, row.topic),
        )
        if twin is not None:
            self._removal.drop(to.id, twin)
        extra = read_extra(row.extra)
        before = extra.received + row.receive_count if source is not None else 0
        # A dead letter has no level and no slot until it comes back.
        level = LEVEL_OF.get(extra.priority) if source is None and not to.fifo else None
        lane, tenant = (extra.group, None) if to.fifo else (None, extra.group)
        ((stamp, seq),) = self._session.write(
            _PUT,
            (
                *(to.id, row.id, row.topic, now, row.sent_at, source),
                *(row.body, row.attributes, with_received(row.extra, before)),
                *(lane, tenant, level, extra.slot if source is None else None),
            ),
        )
        self._session.prove(stamp)
        if source is not None:
            self._letters.note(to.id, seq, source, row.attributes, now, before)
        return True
