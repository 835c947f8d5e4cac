"""Finding messages wherever they lie, in SQL: the steps of `stores.finder`."""

from collections.abc import Collection, Sequence
from typing import Any

from taskflow.stores.finder import BOUND, Hit, Place, Search, Walk, Weight
from taskflow.stores.postgres.columns import AT_LEVEL, COLUMNS, PARKED, WITH_PAYLOAD
from taskflow.stores.postgres.session import Session
from taskflow.stores.row import Row
from taskflow.stores.text_search import after_all, beginnings, like, whole, written_forms

_STATE = f"""CASE WHEN l.seq IS NOT NULL THEN 'dead'
                  WHEN m.visible_at <= $2::float8 OR m.visible_at = {PARKED} THEN 'waiting'
                  WHEN m.receive_count > 0 THEN 'in_flight' ELSE 'delayed' END"""
_ATTEMPTS = "coalesce(l.attempts, m.receive_count)"
_EACH = f"LIMIT {BOUND + 1}"
"""Makes PostgreSQL look them up one by one, and not go through an index to join it."""
_OF_QUEUES = f"""SELECT m.seq, m.queue FROM unnest($1::int4[]) q (queue)
                 CROSS JOIN LATERAL (SELECT x.seq, x.queue FROM tf.{{table}} x
                                     WHERE x.queue = q.queue AND {{which}} {_EACH}) m"""
_BY_CAUSE = f"""SELECT l.seq, l.queue FROM unnest($1::int4[]) c (id)
               CROSS JOIN LATERAL (SELECT * FROM tf.letter x WHERE x.cause = c.id {_EACH}) l
               LIMIT $2::int8"""
_DUE, _HIDDEN = (
    " UNION ALL ".join(
        _OF_QUEUES.format(
            table="message",
            which=f"{level.replace('m.', 'x.')} AND {times}",
        )
        for level in AT_LEVEL.values()
        for times in conditions
    )
    for conditions in (
        ("x.visible_at <= $2::float8", f"x.visible_at = {PARKED}"),
        (f"x.visible_at > $2::float8 AND x.visible_at < {PARKED}",),
    )
)
_LAST = 2**62


class PostgresFinding:
    """`finder.Steps` over one session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def by_id(self, search: Search, ids: Collection[str], most: int) -> list[Place]:
        found: list[Place] = []
        if exact := whole(ids):
            sql = _OF_QUEUES.format(table="payload", which="x.id = ANY ($2::text[])")
            found += self._places(f"{sql} LIMIT $3::int8", (list(search.queues), exact, most))
        for beginning in beginnings(ids):
            sql = _OF_QUEUES.format(table="payload", which="x.id >= $2 AND x.id < $3")
            values = (list(search.queues), beginning, after_all(beginning), most)
            found += self._places(f"{sql} LIMIT $4::int8", values)
        return found

    def by_group(self, search: Search, groups: Collection[str], most: int) -> list[Place]:
        sql = " UNION ALL ".join(
            _OF_QUEUES.format(table="message", which=f"x.{column} = ANY ($2::text[])")
            for column in ("lane", "tenant")
        )
        values = (list(search.queues), list(groups), most)
        return self._places(f"{sql} LIMIT $3::int8", values)

    def by_cause(self, search: Search, causes: Collection[int], most: int) -> list[Place]:
        return self._places(_BY_CAUSE, (list(causes), most))

    def by_time(self, search: Search, due: bool, most: int) -> list[Place]:
        values = (list(search.queues), search.now, most)
        return self._places(f"{_DUE if due else _HIDDEN} LIMIT $3::int8", values)

    def _places(self, sql: str, values: Sequence[object]) -> list[Place]:
        return [Place._make(found) for found in self._session.ask(sql, values)]

    # ---- walking ------------------------------------------------------------------------------
    def walk(self, search: Search, after: Place | None, most: int) -> Walk:
        order, beyond = ("DESC", "<") if search.newest else ("", ">")
        seq = after.seq if after is not None else (_LAST if search.newest else -1)
        alone = len(search.queues) == 1 and not search.everywhere
        values: tuple[object, ...] = (seq, most, *(search.queues if alone else ()))
        if search.causes is not None and len(search.causes) == 1:
            values = (seq, most, *search.causes)
            which = "x.cause = $3::int4 AND x.seq"
            columns, place = "x.seq, x.queue, x.died_at FROM tf.letter x", "x.seq"
        elif search.query.of_letters:
            which = "x.queue = $3::int4 AND x.seq" if alone else "x.seq"
            columns, place = "x.seq, x.queue, x.died_at FROM tf.letter x", "x.seq"
        else:
            which = "x.queue::int8 = $3::int8 AND x.place" if alone else "x.seq"
            place = "x.place" if alone else "x.seq"
            columns = "x.seq, x.queue, x.sent_at FROM tf.payload x"
        found = self._session.ask(
            f"""SELECT {columns} WHERE {which} {beyond} $1::int8
                ORDER BY {place} {order} LIMIT $2::int8""",
            values,
        )
        places = [Place(number, queue) for number, queue, _ in found]
        end = places[-1] if len(places) == most else None
        return Walk(places, end, found[-1][2] if found else None)

    # ---- what fits ----------------------------------------------------------------------------
    def weigh(self, places: Sequence[Place]) -> dict[int, Weight]:
        found = self._session.ask(
            f"""SELECT m.seq, octet_length(coalesce(p.body, s.body))
                       + octet_length(coalesce(p.attributes, s.attributes)),
                       coalesce(l.died_at, m.sent_at)
                FROM unnest($1::int8[]) u (seq)
                CROSS JOIN LATERAL (SELECT * FROM tf.message x WHERE x.seq = u.seq LIMIT 1) m
                {WITH_PAYLOAD}
                LEFT JOIN LATERAL (SELECT * FROM tf.letter x
                                   WHERE p.source IS NOT NULL AND x.seq = m.seq LIMIT 1) l
                    ON true""",
            ([place.seq for place in places],),
        )
        return {seq: Weight(size, stored_at) for seq, size, stored_at in found}

    def fit(self, search: Search, places: Sequence[Place], most: int) -> list[Hit]:
        if not places:
            return []
        values: list[Any] = [[place.seq for place in places], search.now, most]
        conditions = _conditions(search, values)
        found = self._session.ask(
            f"""SELECT {_STATE}, {_ATTEMPTS}, c.name, l.died_at, m.queue, {COLUMNS}
                FROM unnest($1::int8[]) WITH ORDINALITY u (seq, ord)
                CROSS JOIN LATERAL (SELECT * FROM tf.message x WHERE x.seq = u.seq LIMIT 1) m
                {WITH_PAYLOAD}
                LEFT JOIN LATERAL (SELECT * FROM tf.letter x
                                   WHERE p.source IS NOT NULL AND x.seq = m.seq LIMIT 1) l ON true
                LEFT JOIN LATERAL (SELECT x.name FROM tf.cause x WHERE x.id = l.cause LIMIT 1) c
                    ON true
                WHERE {conditions} ORDER BY u.ord LIMIT $3::int8""",
            values,
        )
        return [
            Hit(Place(row[0], queue), Row._make(row), state, attempts, cause, died_at)
            for state, attempts, cause, died_at, queue, *row in found
        ]


def _conditions(search: Search, values: list[Any]) -> str:
    """What a row must fit, with its values added to the others."""
    query = search.query

    def given(value: object, kind: str) -> str:
        values.append(value)
        return f"${len(values)}::{kind}"

    found = [f"m.queue = ANY ({given(list(search.queues), 'int4[]')})"]

    def any_of(column: str, wanted: Collection[str]) -> None:
        if wanted:
            each = [f"{column} = ANY ({given(whole(wanted), 'text[]')})"]
            each += [
                f"({column} >= {given(one, 'text')} AND {column} < {given(after_all(one), 'text')})"
                for one in beginnings(wanted)
            ]
            found.append("(" + " OR ".join(each) + ")")

    any_of("p.topic", query.topics)
    any_of("p.id", query.ids)
    any_of("coalesce(m.lane, m.tenant)", query.groups)
    if query.states:
        found.append(f"{_STATE} = ANY ({given(list(query.states), 'text[]')})")
    if query.of_letters:
        found.append("l.seq IS NOT NULL")
    if search.causes is not None:
        found.append(f"l.cause = ANY ({given(list(search.causes), 'int4[]')})")
    for column, comparison, bound in (
        ("m.sent_at", ">=", query.sent_from),
        ("m.sent_at", "<", query.sent_before),
        ("l.died_at", ">=", query.died_from),
        ("l.died_at", "<", query.died_before),
        (_ATTEMPTS, ">=", query.attempts_from),
        (_ATTEMPTS, "<=", query.attempts_to),
    ):
        if bound is not None:
            found.append(f"{column} {comparison} {given(float(bound), 'float8')}")
    if query.text is not None:
        forms = given([like(one) for one in written_forms(query.text)], "text[]")
        texts = ("coalesce(p.body, s.body)", "coalesce(p.attributes, s.attributes)")
        found.append("(" + " OR ".join(f"{text} ILIKE ANY ({forms})" for text in texts) + ")")
    return " AND ".join(found)
