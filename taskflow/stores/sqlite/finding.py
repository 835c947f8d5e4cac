"""Finding messages wherever they lie, in SQL: the steps of `stores.finder`.

CROSS JOIN fixes the order of a join: the queues, or the rows that were chosen, look up theirs.
"""

from collections.abc import Collection, Sequence
from typing import Any

import apsw

from taskflow.stores.finder import Hit, Place, Search, Walk, Weight
from taskflow.stores.row import Row
from taskflow.stores.sqlite.columns import AT_LEVEL, COLUMNS, PARKED, encode
from taskflow.stores.text_search import after_all, beginnings, like, whole, written_forms

_STATE = f"""CASE WHEN l.seq IS NOT NULL THEN 'dead'
                  WHEN m.visible_at <= ?2 OR m.visible_at = {PARKED} THEN 'waiting'
                  WHEN m.receive_count > 0 THEN 'in_flight' ELSE 'delayed' END"""
_ATTEMPTS = "coalesce(l.attempts, m.receive_count)"
_OF_QUEUES = "FROM json_each(?1) q CROSS JOIN message m"
_BY_ID = f"SELECT m.seq, m.queue {_OF_QUEUES} INDEXED BY message_id ON m.queue = q.value AND "
_BY_LANE = f"""SELECT m.seq, m.queue {_OF_QUEUES} INDEXED BY message_lane
               ON m.queue = q.value AND m.lane IN (SELECT value FROM json_each(?2))"""
_BY_TENANT = f"""SELECT m.seq, m.queue {_OF_QUEUES} INDEXED BY message_group
                 ON m.queue = q.value AND m.tenant IN (SELECT value FROM json_each(?2))"""
_BY_CAUSE = """SELECT l.seq, l.queue FROM json_each(?1) c
               CROSS JOIN letter l INDEXED BY letter_cause ON l.cause = c.value LIMIT ?2"""
_DUE = " UNION ALL ".join(
    f"SELECT m.seq, m.queue {_OF_QUEUES} ON m.queue = q.value AND m.{level} AND {times}"
    for level in AT_LEVEL.values()
    for times in ("m.visible_at <= ?2", f"m.visible_at = {PARKED}")
)
_HIDDEN = " UNION ALL ".join(
    f"SELECT m.seq, m.queue {_OF_QUEUES} ON m.queue = q.value AND m.{level} "
    f"AND m.visible_at > ?2 AND m.visible_at < {PARKED}"
    for level in AT_LEVEL.values()
)
_LAST = 2**62


class SqliteFinding:
    """`finder.Steps` over one connection."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._execute = connection.execute

    def by_id(self, search: Search, ids: Collection[str], most: int) -> list[Place]:
        found = self._places(
            f"{_BY_ID} m.id IN (SELECT value FROM json_each(?2)) LIMIT ?3",
            (_list(search.queues), _list(whole(ids)), most),
        )
        for beginning in beginnings(ids):
            found += self._places(
                f"{_BY_ID} m.id >= ?2 AND m.id < ?3 LIMIT ?4",
                (_list(search.queues), beginning, after_all(beginning), most),
            )
        return found

    def by_group(self, search: Search, groups: Collection[str], most: int) -> list[Place]:
        values = (_list(search.queues), _list(groups), most)
        return self._places(f"{_BY_LANE} UNION ALL {_BY_TENANT} LIMIT ?3", values)

    def by_cause(self, search: Search, causes: Collection[int], most: int) -> list[Place]:
        return self._places(_BY_CAUSE, (_list(causes), most))

    def by_time(self, search: Search, due: bool, most: int) -> list[Place]:
        values = (_list(search.queues), search.now, most)
        return self._places(f"{_DUE if due else _HIDDEN} LIMIT ?3", values)

    def _places(self, sql: str, values: Sequence[Any]) -> list[Place]:
        return [Place._make(found) for found in self._execute(sql, tuple(values))]

    # ---- walking ------------------------------------------------------------------------------
    def walk(self, search: Search, after: Place | None, most: int) -> Walk:
        order, beyond = ("DESC", "<") if search.newest else ("", ">")
        seq, queue = after or (Place(_LAST, 0) if search.newest else Place(-1, 0))
        alone = len(search.queues) == 1 and not search.everywhere
        if not search.query.of_letters and not alone:
            return self._walk_all(search, seq, queue, most)
        table, which = ("letter", "") if search.query.of_letters else ("message", "")
        values: tuple[Any, ...] = (seq, most)
        if search.causes is not None and len(search.causes) == 1:
            which, values = "cause = ?3 AND", (*values, *search.causes)
        elif alone:
            which, values = "queue = ?3 AND", (*values, *search.queues)
        places = self._places(  # of these, no two have the same number
            f"""SELECT seq, queue FROM {table} WHERE {which} seq {beyond} ?1
                ORDER BY seq {order} LIMIT ?2""",
            values,
        )
        end = places[-1] if len(places) == most else None
        return Walk(places, end, places[-1].seq / 1e6 if places else None)

    def _walk_all(self, search: Search, seq: int, queue: int, most: int) -> Walk:
        """By their bodies, which are in order whatever the queues: the rows of the next `most`."""
        newest = search.newest
        order, beyond = ("DESC", "<") if newest else ("", ">")
        last: int | None = self._execute(
            f"SELECT seq FROM body WHERE seq {beyond} ?1 ORDER BY seq {order} LIMIT 1 OFFSET ?2",
            (seq, most - 1),
        ).get
        first, bound = (last or 0, seq) if newest else (seq, _LAST if last is None else last)
        places = self._places(
            f"""SELECT m.seq, m.queue {_OF_QUEUES} ON m.queue = q.value AND m.seq BETWEEN ?2 AND ?3
                WHERE (m.seq, m.queue) {beyond} (?4, ?5) ORDER BY m.seq {order}, m.queue {order}""",
            (_list(search.queues), first, bound, seq, queue),
        )
        if last is None:
            return Walk(places, None, None)
        return Walk(places, Place(last, 0 if newest else _LAST), last / 1e6)

    # ---- what fits ----------------------------------------------------------------------------
    def weigh(self, places: Sequence[Place]) -> dict[int, Weight]:
        found = self._execute(
            """SELECT p.seq, octet_length(p.body) + octet_length(p.attributes)
               FROM json_each(?1) j CROSS JOIN body p ON p.seq = j.value""",
            (_list([place.seq for place in places]),),
        )
        return {seq: Weight(size, seq / 1e6) for seq, size in found}

    def fit(self, search: Search, places: Sequence[Place], most: int) -> list[Hit]:
        if not places:
            return []
        values: list[Any] = [encode(places).decode(), search.now, most]
        also = _conditions(search, values)
        found = self._execute(
            f"""SELECT {_STATE}, {_ATTEMPTS}, c.name, l.died_at, m.queue, {COLUMNS}
                FROM json_each(?1) j
                CROSS JOIN message m ON m.queue = j.value ->> 1 AND m.seq = j.value ->> 0
                CROSS JOIN body p ON p.seq = m.seq
                LEFT JOIN letter l ON m.source IS NOT NULL AND l.seq = m.seq
                LEFT JOIN cause c ON c.id = l.cause
                {also} ORDER BY j.key LIMIT ?3""",
            values,
        )
        return [
            Hit(Place(row[0], queue), Row._make(row), state, attempts, cause, died_at)
            for state, attempts, cause, died_at, queue, *row in found
        ]


def _list(values: Collection[Any]) -> str:
    return encode(list(values)).decode()


def _conditions(search: Search, values: list[Any]) -> str:
    """What a row must fit, with its values added to the others."""
    query = search.query
    found: list[str] = []

    def given(value: Any) -> str:
        values.append(value)
        return f"?{len(values)}"

    def any_of(column: str, wanted: Collection[str]) -> None:
        if wanted:
            each = [f"{column} IN (SELECT value FROM json_each({given(_list(whole(wanted)))}))"]
            each += [
                f"({column} >= {given(one)} AND {column} < {given(after_all(one))})"
                for one in beginnings(wanted)
            ]
            found.append("(" + " OR ".join(each) + ")")

    if not search.everywhere:
        found.append(f"m.queue IN (SELECT value FROM json_each({given(_list(search.queues))}))")
    any_of("m.topic", query.topics)
    any_of("m.id", query.ids)
    any_of("coalesce(m.lane, m.tenant)", query.groups)
    if query.states:
        found.append(f"{_STATE} IN (SELECT value FROM json_each({given(_list(query.states))}))")
    if query.of_letters:
        found.append("l.seq IS NOT NULL")
    if search.causes is not None:
        found.append(f"l.cause IN (SELECT value FROM json_each({given(_list(search.causes))}))")
    for column, comparison, bound in (
        ("m.sent_at", ">=", query.sent_from),
        ("m.sent_at", "<", query.sent_before),
        ("l.died_at", ">=", query.died_from),
        ("l.died_at", "<", query.died_before),
        (_ATTEMPTS, ">=", query.attempts_from),
        (_ATTEMPTS, "<=", query.attempts_to),
    ):
        if bound is not None:
            found.append(f"{column} {comparison} {given(bound)}")
    if query.text is not None:
        forms = [given(like(one)) for one in written_forms(query.text)]
        found.append(
            "("
            + " OR ".join(
                f"{column} LIKE {form} ESCAPE '\\'"
                for form in forms
                for column in ("p.body", "p.attributes")
            )
            + ")"
        )
    return "WHERE " + " AND ".join(found) if found else ""
