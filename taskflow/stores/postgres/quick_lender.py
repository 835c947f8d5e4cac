"""Lending plain rows in SQL: one statement, which is a transaction by itself."""

from taskflow.stores.lender import Lender
from taskflow.stores.postgres.columns import WITH_PAYLOAD
from taskflow.stores.postgres.declared import DeclaredRows
from taskflow.stores.postgres.session import Session
from taskflow.stores.postgres.watermarks import NONE, Watermarks
from taskflow.stores.row import PLAIN, Ask, Kinds, Lent, QueueRow, Row
from taskflow.stores.rows import Outdated

# $1 queue, $2 now, $3 until, $4 receipt, $5 kept from, $6 most, $7 as a worker asks, $8 it knows
# limits, $9 it holds others, $10 from where on
_LEND = """
WITH c AS MATERIALIZED (
    SELECT m.ctid, m.seq, m.place, m.visible_at, m.sent_at, m.slot, m.receive_count,
           m.first_received_at,
           (m.sent_at <= $5::float8 OR m.receive_count >= $6::int8
            OR ($7::bool AND m.receipt IS NOT NULL AND m.receipt & 2 = 0)
            OR ($8::bool AND m.slot IS NOT NULL)) IS TRUE AS odd
    FROM tf.message m
    WHERE m.queue = $1::int8 AND m.level IS NULL AND m.visible_at <= $2::float8
      AND m.visible_at >= $10::float8
    ORDER BY m.visible_at, m.place LIMIT {limit} FOR UPDATE SKIP LOCKED),
done AS (
    UPDATE tf.message x
    SET visible_at = $3::float8, receive_count = x.receive_count + 1,
        receipt = $4::int8 | CASE WHEN $9::bool OR ($7::bool AND (SELECT count(*) FROM c) > 1)
                                  THEN 1 ELSE 0 END,
        first_received_at = coalesce(x.first_received_at, $2::float8)
    WHERE x.ctid = ANY (ARRAY(SELECT ctid FROM c)) AND NOT EXISTS (SELECT 1 FROM c WHERE odd)
      AND NOT EXISTS (SELECT 1 FROM tf.message y WHERE y.queue = $1::int8 AND y.level IS NOT NULL)
      AND (SELECT stamp FROM tf.declared) = $11::int8
    RETURNING x.seq, x.receipt)
SELECT d.stamp, (SELECT bool_or(odd) FROM c),
       EXISTS (SELECT 1 FROM tf.message m WHERE m.queue = $1::int8 AND m.tenant IS NOT NULL),
       EXISTS (SELECT 1 FROM tf.message m WHERE m.queue = $1::int8 AND m.level IS NOT NULL),
       r.*
FROM tf.declared d LEFT JOIN (
    SELECT m.visible_at, m.place, (SELECT receipt FROM done LIMIT 1), f.hit IS NULL,
           m.seq, p.id, p.topic, m.receive_count, coalesce(m.first_received_at, $2::float8),
           m.sent_at, m.visible_at, p.source, coalesce(p.body, s.body),
           coalesce(p.attributes, s.attributes),
           CASE WHEN p.shared IS NULL THEN p.extra ELSE s.extra END, NULL, NULL, m.slot
    FROM c m {payload}
    LEFT JOIN LATERAL (SELECT 1 AS hit FROM tf.finished x WHERE x.queue = $1::int4 AND x.id = p.id
                       AND x.topic = p.topic AND x.expires_at > $2::float8 LIMIT 1) f ON true
    WHERE m.seq = ANY (ARRAY(SELECT seq FROM done))) r ON true"""
_KINDS = """
SELECT EXISTS (SELECT 1 FROM tf.message m WHERE m.queue = $1::int8 AND m.tenant IS NOT NULL),
       EXISTS (SELECT 1 FROM tf.message m WHERE m.queue = $1::int8 AND m.level IS NOT NULL)"""


class QuickLender:
    """Lends what is plain in one statement, and leaves to `Lender` what is not: what is too old or
    received too often, lapsed leases, limits, groups, levels and order."""

    def __init__(
        self, session: Session, declared: DeclaredRows, lender: Lender, watermarks: Watermarks
    ) -> None:
        self._session = session
        self._declared = declared
        self._lender = lender
        self._watermarks = watermarks

    def kinds(self, queue: int) -> Kinds:
        """What a queue holds beside plain messages; nothing, as long as a look at what is due does
        not find otherwise."""
        known = self._watermarks.kinds.get(queue)
        if known != PLAIN:
            known = Kinds(*self._session.first(_KINDS, (queue,)))
            self._watermarks.kinds[queue] = known
        return known

    def lend(self, queue: QueueRow, ask: Ask, now: float) -> Lent:
        kept = self._session.declarations.kept
        if kept.queues.get(queue.name) is not queue:
            return self._again(ask)  # what is kept is newer: others go by it already
        self._session.reads(kept.stamp)
        lent = None
        plain = not (queue.fifo or ask.noisy or ask.turns is not None)
        if plain and (ask.holding is None or not ask.holding.suspects):
            lent = self._lend(queue, ask, now)
        if lent is None:
            with self._session.together():
                if self._declared.stamp() != kept.stamp:
                    return self._outdated(ask)
                lent = self._lender.lend(queue, ask, now)
        self._session.lent = self._session.lent or bool(lent.rows)
        return lent

    def _outdated(self, ask: Ask) -> Lent:
        """The queue is to be read anew."""
        self._session.declarations.forget()
        return self._again(ask)

    def _again(self, ask: Ask) -> Lent:
        """It is to be looked at anew: at once, if nothing is lost by that."""
        if self._session.lent:
            return Lent([], [], [], ask.receipt)
        raise Outdated

    def _lend(self, queue: QueueRow, ask: Ask, now: float) -> Lent | None:
        """None when there is something that is not plain."""
        low = self._watermarks.due_from(queue.id)
        lent = self._try(queue, ask, now, low)
        if lent is not None and low != NONE and not lent.rows:
            lent = self._try(queue, ask, now, NONE)
        return lent

    def _try(self, queue: QueueRow, ask: Ask, now: float, low: float) -> Lent | None:
        holding = ask.holding
        since = self._watermarks.elapsed()
        found = self._session.ask(
            _LEND.format(limit=ask.limit, payload=WITH_PAYLOAD),
            (
                *(queue.id, now, ask.until, ask.receipt, ask.kept_from, ask.most),
                *(holding is not None, holding is not None and bool(holding.limits)),
                *(holding is not None and bool(holding.messages), low, self._session.stamp),
            ),
        )
        seen, odd, grouped, leveled, *first = found[0]
        self._watermarks.kinds[queue.id] = Kinds(grouped, leveled)
        lent = [one[4:] for one in found] if first[3] is not None else []
        if lent:
            self._session.changed()
        elif seen != self._session.stamp:
            return self._outdated(ask)
        if leveled and not lent:  # it is to be asked as one with levels is
            return self._again(ask)
        if odd:
            return None
        lent.sort(key=lambda one: one[:2])
        if lent:
            self._watermarks.lent(queue.id, lent[0][0], low, since)
        receipt = lent[0][2] if lent else ask.receipt
        unfinished = [one[4] for one in lent if one[3]]
        return Lent([Row._make(one[4:]) for one in lent], [], [], receipt, 0, unfinished)
