"""Adding rows, in SQL: what is sent to one queue or to several."""

from collections.abc import Sequence
from typing import Any

from taskflow.message import Message
from taskflow.stores.message_columns import write_attributes, write_extra
from taskflow.stores.postgres.columns import LEVEL_OF, in_hash
from taskflow.stores.postgres.lanes import Lanes
from taskflow.stores.postgres.removal import Removal
from taskflow.stores.postgres.session import Session
from taskflow.stores.postgres.watermarks import Watermarks
from taskflow.stores.row import QueueRow

# $1 queue, $2 now, $3 topic, then one message: id, due, lane, tenant, level, slot, body,
# attributes, extra. The second half makes the row only if the first one was made.
_ADD_ONE = """
WITH p AS (
    INSERT INTO tf.payload (seq, place, sent_at, queue, id, topic, body, attributes, extra)
    SELECT n, n, $2::float8, $1::int4, $4, $3, $10, $11, $12
    FROM tf.declared d, nextval('tf.number') n
    WHERE d.stamp = $13::int8
    ON CONFLICT (queue, id, topic) DO NOTHING RETURNING seq),
m AS (
    INSERT INTO tf.message (seq, place, visible_at, sent_at, queue, level, lane, tenant, slot)
    SELECT seq, seq, $5::float8, $2::float8, $1::int4, $8::int2, $6, $7, $9 FROM p)
SELECT d.stamp, p.seq FROM tf.declared d LEFT JOIN p ON true"""

# As above, over lists: one entry for each message and queue; what has a body has it alone. (What
# went in is looked up `in_hash`, and not joined: see there.)
_ADD_MANY = f"""
WITH u AS MATERIALIZED (
    SELECT *, nextval('tf.number') AS n FROM (
        SELECT * FROM unnest($3::int4[], $4::text[], $5::float8[], $6::text[], $7::text[],
                             $8::int2[], $9::text[], $10::text[], $11::text[], $12::text[],
                             $13::int8[]) WITH ORDINALITY
            AS v (queue, id, due, lane, tenant, level, slot, body, attributes, extra, shared, ord)
        ORDER BY ord) w),
p AS (
    INSERT INTO tf.payload (seq, place, sent_at, queue, id, topic, body, attributes, extra, shared)
    SELECT n, n, $1::float8, queue, id, $2, body, attributes, extra, shared
    FROM u WHERE (SELECT stamp FROM tf.declared) = $14::int8 ORDER BY queue, id
    ON CONFLICT (queue, id, topic) DO NOTHING RETURNING seq),
m AS (
    INSERT INTO tf.message (seq, place, visible_at, sent_at, queue, level, lane, tenant, slot)
    SELECT u.n, u.n, u.due, $1::float8, u.queue, u.level, u.lane, u.tenant, u.slot
    FROM u WHERE {in_hash("u.n", "SELECT seq FROM p")})
SELECT d.stamp, r.ord, r.n FROM (SELECT stamp FROM tf.declared LIMIT 1) d
LEFT JOIN (SELECT ord, n FROM u WHERE {in_hash("u.n", "SELECT seq FROM p")}) r ON true"""

_SHARE = """
INSERT INTO tf.shared_body (number, body, attributes, extra)
SELECT nextval('tf.number'), body, attributes, extra
FROM (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY
          AS v (body, attributes, extra, ord) ORDER BY ord) u
RETURNING number"""

_FIND = """
SELECT p.queue, p.id, p.seq, p.sent_at FROM unnest($1::int4[], $2::text[]) u (queue, id)
CROSS JOIN LATERAL (SELECT * FROM tf.payload x
                    WHERE x.queue = u.queue AND x.id = u.id AND x.topic = $3 LIMIT 1) p"""

Entry = tuple[QueueRow, Message]


class Insertion:
    """Numbers are given here: they rise, with gaps."""

    def __init__(
        self, session: Session, lanes: Lanes, removal: Removal, watermarks: Watermarks
    ) -> None:
        self._session = session
        self._watermarks = watermarks
        self._lanes = lanes
        self._removal = removal

    def add(
        self, queue: QueueRow, topic: str, messages: Sequence[Message], now: float
    ) -> list[int]:
        entries = [(queue, message) for message in messages]
        bodies = [None] * len(entries)
        numbers: dict[int, int] | None = None
        if not queue.fifo:  # one statement, unless it has some of them
            if len(messages) == 1:
                numbers = self._add_one(queue, topic, messages[0], now)
            else:
                numbers = self._insert(topic, entries, bodies, range(len(entries)), now)
            if len(numbers) == len(entries):
                return [numbers[at] for at in range(len(entries))]
        with self._session.together():
            return self._add(topic, entries, bodies, now, numbers)

    def _add_one(self, queue: QueueRow, topic: str, message: Message, now: float) -> dict[int, int]:
        """As `_insert`, of one message to a standard queue."""
        due, lane, tenant, level, slot = _place(queue, message, now)
        values: tuple[object, ...] = (queue.id, now, topic, message.id, due)
        values += (lane, tenant, level, slot)
        values += (*_body(message), self._session.stamp)
        stamp, seq = self._session.ask(_ADD_ONE, values)[0]
        self._session.prove(stamp)
        if seq is None:
            return {}
        self._session.changed()
        if due > now:
            self._watermarks.hidden(queue.id, due)
        return {0: seq}

    def add_to_many(
        self,
        topic: str,
        entries: Sequence[tuple[QueueRow, Sequence[tuple[int, Message]]]],
        now: float,
    ) -> list[list[int]]:
        flat: list[tuple[int, int, Entry]] = []  # by place, then by queue
        for at, (queue, places) in enumerate(entries):
            flat += [(place, at, (queue, message)) for place, message in places]
        flat.sort(key=lambda one: one[:2])
        holders: dict[int, int] = {}
        for _, _, (_, message) in flat:
            holders[id(message)] = holders.get(id(message), 0) + 1
        shared = {id(one): one for _, _, (_, one) in flat if holders[id(one)] > 1}
        answers: list[list[int]] = [[] for _ in entries]
        with self._session.together():
            number_of: dict[int, int] = {}
            if shared:
                columns = zip(*(_body(message) for message in shared.values()), strict=True)
                found = self._session.write(_SHARE, [list(column) for column in columns])
                number_of = dict(zip(shared, (number for (number,) in found), strict=True))
            bodies = [number_of.get(id(message)) for _, _, (_, message) in flat]
            numbers = self._add(topic, [entry for _, _, entry in flat], bodies, now)
        for (_, at, _), number in zip(flat, numbers, strict=True):
            answers[at].append(number)
        return answers

    def _add(
        self,
        topic: str,
        entries: Sequence[Entry],
        shared: Sequence[int | None],
        now: float,
        numbers: dict[int, int] | None = None,
    ) -> list[int]:
        """A number for each entry, in order; `numbers` is what `_insert` answered, if it was
        tried. There is a transaction."""
        if not entries:
            return []
        groups = {
            (queue.id, message.group)
            for queue, message in entries
            if queue.fifo and message.group is not None
        }
        self._lanes.lock_or_make(groups)
        if numbers is None:
            numbers = self._insert(topic, entries, shared, range(len(entries)), now)
        if len(numbers) < len(entries):  # some are held already, or were until their retention
            left = [at for at in range(len(entries)) if at not in numbers]
            held = self._drop_expired(topic, [entries[at] for at in left], now)
            numbers |= self._insert(topic, entries, shared, left, now)
            for at in left:
                queue, message = entries[at]
                numbers.setdefault(at, held.get((queue.id, message.id), 0))
        self._lanes.refresh_many(groups)
        return [numbers[at] for at in range(len(entries))]

    def _insert(
        self,
        topic: str,
        entries: Sequence[Entry],
        shared: Sequence[int | None],
        chosen: Sequence[int],
        now: float,
    ) -> dict[int, int]:
        """The numbers of those that were new, by their place."""
        first: dict[tuple[int, str], int] = {}
        for at in chosen:
            queue, message = entries[at]
            first.setdefault((queue.id, message.id), at)
        places = list(first.values())
        if not places:
            return {}
        rows = []
        for at in places:
            queue, message = entries[at]
            due, lane, tenant, level, slot = _place(queue, message, now)
            body = (None, None, None) if shared[at] is not None else _body(message)
            rows.append((queue.id, message.id, due, lane, tenant, level, slot, *body, shared[at]))
        columns = [list(column) for column in zip(*rows, strict=True)]
        found = self._session.write(_ADD_MANY, (now, topic, *columns, self._session.stamp))
        self._session.prove(found[0][0])
        for queue_id, due in {(row[0], row[2]) for row in rows if row[2] > now}:
            self._watermarks.hidden(queue_id, due)
        return {places[ord - 1]: seq for _, ord, seq in found if ord is not None}

    def _drop_expired(
        self, topic: str, entries: Sequence[Entry], now: float
    ) -> dict[tuple[int, str], int]:
        """Let go of those that are past their retention; answers the numbers of the others."""
        queues = {queue.id: queue for queue, _ in entries}
        held: dict[tuple[int, str], int] = {}
        gone: dict[int, list[int]] = {}
        for queue, id, seq, sent_at in self._session.ask(
            _FIND, ([queue.id for queue, _ in entries], [one.id for _, one in entries], topic)
        ):
            if sent_at <= now - queues[queue].settings.retention:
                gone.setdefault(queue, []).append(seq)
            else:
                held[queue, id] = seq
        for queue, seqs in gone.items():
            self._removal.drop_old(queue, seqs)
        return held


def _place(
    queue: QueueRow, message: Message, now: float
) -> tuple[float, str | None, str | None, int | None, str | None]:
    """When it is due; lane, tenant, level and slot."""
    due = now + (queue.settings.delay if message.delay is None else message.delay)
    lane, tenant = (message.group, None) if queue.fifo else (None, message.group)
    level = None if message.priority is None else LEVEL_OF.get(message.priority)
    return due, lane, tenant, level, message.slot


def _body(message: Message) -> tuple[Any, ...]:
    attributes = write_attributes(message.attributes) if message.attributes else "{}"
    return message.body, attributes, write_extra(message)
