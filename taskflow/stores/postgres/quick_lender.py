"""Lending plain rows in SQL: one statement, which is a transaction by itself."""

from functools import cache
from typing import Any

from taskflow.stores.lender import Lender
from taskflow.stores.postgres.declared import DeclaredRows
from taskflow.stores.postgres.session import Session
from taskflow.stores.postgres.watermarks import START, Point, Watermarks
from taskflow.stores.row import PLAIN, Ask, Kinds, Lent, QueueRow, Row
from taskflow.stores.rows import Outdated

# $1 queue, $2 now, $3 until, $4 receipt, $5 kept from, $6 most, $7 as a worker asks, $8 it knows
# limits, $9 it holds others, $10 the stamp of declarations; $11 and $12, if it goes on, the point.
# Takes all that it finds, or nothing.
_TAKE = """
WITH c AS MATERIALIZED (
    SELECT m.ctid, m.place, m.visible_at,
           (m.sent_at <= $5::float8 OR m.receive_count >= $6::int8
            OR ($7::bool AND m.receipt IS NOT NULL AND m.receipt & 2 = 0)
            OR ($8::bool AND m.slot IS NOT NULL)) IS TRUE AS odd
    FROM tf.message m
    WHERE m.queue = $1::int8 AND m.level IS NULL AND m.visible_at <= $2::float8 {start}
    ORDER BY m.visible_at, m.place LIMIT {limit} FOR UPDATE SKIP LOCKED),
done AS (
    UPDATE tf.message x
    SET visible_at = $3::float8, receive_count = x.receive_count + 1,
        receipt = $4::int8 | CASE WHEN $9::bool OR ($7::bool AND {several}) THEN 1 ELSE 0 END,
        first_received_at = coalesce(x.first_received_at, $2::float8)
    FROM c
    WHERE x.ctid = c.ctid AND NOT EXISTS (SELECT 1 FROM c WHERE odd)
      AND NOT EXISTS (SELECT 1 FROM tf.message m WHERE m.queue = $1::int8 AND m.level IS NOT NULL)
      AND (SELECT stamp FROM tf.declared) = $10::int8
    RETURNING c.visible_at, c.place, x.receipt, x.tenant, x.seq, x.receive_count,
              x.first_received_at, x.sent_at, x.slot)"""
_TAKEN = """
    SELECT x.visible_at, x.place, x.receipt, x.tenant,
           (SELECT 1 FROM tf.finished f WHERE f.queue = $1::int4 AND f.id = p.id
            AND f.topic = p.topic AND f.expires_at > $2::float8),
           CASE WHEN p.shared IS NOT NULL THEN (
               SELECT ARRAY[s.body, s.attributes, s.extra] FROM tf.shared_body s
               WHERE s.number = p.shared) END,
           x.seq, p.id, p.topic, x.receive_count - 1, x.first_received_at, x.sent_at,
           x.visible_at AS due_at, p.source, p.body, p.attributes, p.extra,
           NULL::int8, NULL::int2, x.slot
    FROM done x CROSS JOIN LATERAL (SELECT * FROM tf.payload y WHERE y.seq = x.seq LIMIT 1) p"""
_SEEN = f"""
SELECT d.stamp, (SELECT bool_or(odd) FROM c),
       EXISTS (SELECT 1 FROM tf.message m WHERE m.queue = $1::int8 AND m.tenant IS NOT NULL),
       EXISTS (SELECT 1 FROM tf.message m WHERE m.queue = $1::int8 AND m.level IS NOT NULL), r.*
FROM tf.declared d LEFT JOIN ({_TAKEN}) r ON true"""
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
        return PLAIN if known == PLAIN else self._look_at_kinds(queue)

    def _look_at_kinds(self, queue: int) -> Kinds:
        found = self._watermarks.kinds[queue] = Kinds(*self._session.first(_KINDS, (queue,)))
        return found

    def lend(self, queue: QueueRow, ask: Ask, now: float) -> Lent:
        kept = self._session.declarations.kept
        if kept.queues.get(queue.name) is not queue:
            return self._again(ask)  # what is kept is newer: others go by it already
        self._session.reads(kept.stamp)
        lent = None
        plain = not (queue.fifo or ask.noisy or ask.turns is not None)
        if plain and (ask.holding is None or not ask.holding.suspects):
            lent = self._lend(queue, ask, now)
        elif plain and self._look_at_kinds(queue.id).leveled:  # as `_lend` would have found
            return self._again(ask)
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
        start = self._watermarks.due_from(queue.id)
        if start != START:
            since = self._watermarks.elapsed()
            found = self._session.ask(_go_on(ask.limit), (*self._values(queue, ask, now), *start))
            if found:
                if any(one[3] is not None for one in found):
                    self._watermarks.kinds[queue.id] = Kinds(True, False)
                return self._lent(queue.id, ask, found, start, since)
            start = self._watermarks.due_after_nothing(queue.id, since)
        return self._look(queue, ask, now, start)

    def _values(self, queue: QueueRow, ask: Ask, now: float) -> tuple[object, ...]:
        holding = ask.holding
        values = (queue.id, now, ask.until, ask.receipt, ask.kept_from, ask.most)
        if holding is None:
            return (*values, False, False, False, self._session.stamp)
        return (*values, True, bool(holding.limits), bool(holding.messages), self._session.stamp)

    def _look(self, queue: QueueRow, ask: Ask, now: float, start: Point) -> Lent | None:
        """At what there is beside, too."""
        since = self._watermarks.elapsed()
        values = self._values(queue, ask, now)
        if start == START:
            found = self._session.ask(_first(ask.limit), values)
        else:
            found = self._session.ask(_look_on(ask.limit), (*values, *start))
        seen, odd, grouped, leveled, *first = found[0]
        self._watermarks.kinds[queue.id] = Kinds(grouped, leveled)
        if first[0] is not None:
            return self._lent(queue.id, ask, [one[4:] for one in found], start, since)
        if seen != self._session.stamp:
            return self._outdated(ask)
        if leveled:  # it is to be asked as one with levels is
            return self._again(ask)
        if odd:
            return None
        if start == START:
            self._watermarks.looked(queue.id, (now, 0), start, since)
        return Lent([], [], [], ask.receipt, 0, [])

    def _lent(
        self, queue: int, ask: Ask, found: list[tuple[Any, ...]], start: Point, since: float
    ) -> Lent:
        self._session.changed()
        self._watermarks.hidden(queue, ask.until)
        found.sort()  # by when they were due, and by place
        last = found[-1]
        self._watermarks.looked(queue, (last[0], last[1]), start, since)
        rows = [Row._make(one[6:]) for one in found]
        unfinished = []
        for at, (_, _, _, _, finished, shared, seq, *_) in enumerate(found):
            if finished is None:
                unfinished.append(seq)
            if shared is not None:
                body, attributes, extra = shared
                rows[at] = rows[at]._replace(body=body, attributes=attributes, extra=extra)
        return Lent(rows, [], [], last[2], 0, unfinished)


_BEHIND = "AND (m.visible_at, m.place) > ($11::float8, $12::int8)"


@cache
def _first(limit: int) -> str:
    """Lends what is due, and says what the queue holds."""
    return _TAKE.format(start="", limit=limit, several=_several(limit)) + _SEEN


@cache
def _look_on(limit: int) -> str:
    """As `_first`, of what is due behind a point."""
    return _TAKE.format(start=_BEHIND, limit=limit, several=_several(limit)) + _SEEN


@cache
def _go_on(limit: int) -> str:
    """Lends what is due behind a point, or answers nothing, whatever the reason."""
    return _TAKE.format(start=_BEHIND, limit=limit, several=_several(limit)) + _TAKEN


def _several(limit: int) -> str:
    """Whether more than one is lent."""
    return "false" if limit == 1 else "EXISTS (SELECT 1 FROM c OFFSET 1)"
