"""Finding rows, in SQL: what is due, of which group, and what is in flight.

What is found in order to be lent or moved is the transaction's own: rows, or their lanes, are
locked, and those that others have are passed over.
"""

from collections.abc import Collection, Sequence

from taskflow.stores.lender import without_old
from taskflow.stores.postgres.columns import AT_LEVEL, BESIDE, COLUMNS, FRESH, PARKED, WITH_PAYLOAD
from taskflow.stores.postgres.removal import Removal
from taskflow.stores.postgres.session import Session
from taskflow.stores.postgres.watermarks import NEVER, Watermarks
from taskflow.stores.row import LEVELS, PACED, QueueRow, Row

_HAD = "FOR UPDATE OF m SKIP LOCKED"
_NEXT_DUE = "SELECT least({})".format(
    ", ".join(
        "(SELECT m.visible_at FROM tf.message m "
        f"WHERE m.queue = $1::int8 AND {level} AND m.visible_at > $2::float8 "
        f"AND m.visible_at < {PARKED} ORDER BY m.visible_at LIMIT 1)"
        for level in AT_LEVEL.values()
    ),
)
_ALL_DUE = " UNION ALL ".join(
    "SELECT 1 FROM tf.message m "
    f"WHERE m.queue = $1::int8 AND {level} AND m.visible_at <= $2::float8"
    for level in AT_LEVEL.values()
)
_IN_FLIGHT = " UNION ALL ".join(
    f"SELECT m.tenant FROM tf.message m WHERE m.queue = $1::int8 AND {level} "
    f"AND m.visible_at > $2::float8 AND m.visible_at < {PARKED} AND m.receipt <> {PACED}"
    for level in AT_LEVEL.values()
)
_DUE_LANES = "SELECT 1 FROM tf.lane WHERE queue = $1::int8 AND ready_at <= $2::float8"
_NEXT_LANE = """SELECT min(ready_at) FROM tf.lane
                WHERE queue = $1::int8 AND ready_at > $2::float8"""
_FRESH_LANE = f"""AND (SELECT {FRESH} FROM tf.message m WHERE m.queue = $1::int8 AND m.lane = l.name
                       ORDER BY m.place LIMIT 1)"""
_OF_THESE = """unnest($2::text[]) u (id) CROSS JOIN LATERAL (
    SELECT * FROM tf.payload x WHERE x.queue = $1::int4 AND x.id = u.id) p"""
_QUIET = """
WITH RECURSIVE tenant (name) AS (
    (SELECT tenant FROM tf.message WHERE queue = $1::int8 AND tenant IS NOT NULL
     ORDER BY tenant LIMIT 1)
    UNION ALL
    SELECT (SELECT m.tenant FROM tf.message m
            WHERE m.queue = $1::int8 AND m.tenant > tenant.name ORDER BY m.tenant LIMIT 1)
    FROM tenant WHERE name IS NOT NULL)
SELECT o.visible_at, o.place, o.seq FROM tenant CROSS JOIN LATERAL (
    SELECT m.visible_at, m.place, m.seq FROM tf.message m
    WHERE m.queue = $1::int8 AND m.tenant = tenant.name AND m.visible_at <= $2::float8 {also}
    ORDER BY m.visible_at, m.place LIMIT {limit}) o
WHERE tenant.name IS NOT NULL AND tenant.name <> ALL ($3::text[])
ORDER BY o.visible_at, o.place LIMIT {limit}"""


class DueRows:
    """Looks; only what is past its retention does it let go."""

    def __init__(self, session: Session, removal: Removal, watermarks: Watermarks) -> None:
        self._session = session
        self._removal = removal
        self._watermarks = watermarks

    def due(self, queue: QueueRow, now: float, limit: int) -> list[Row]:
        if queue.fifo:
            return self.due_in_order(queue, now, limit)
        found: list[Row] = []
        for level in LEVELS:
            if len(found) < limit:
                found += self.due_at(level, queue, now, limit - len(found))
        return found

    def due_at(
        self,
        level: int | None,
        queue: QueueRow,
        now: float,
        limit: int,
        without_lapsed: bool = False,
    ) -> list[Row]:
        """The rows of one level of a standard queue, perhaps without suspects."""
        also = f"AND {BESIDE}" if without_lapsed else ""

        def look(after: float) -> list[Row]:
            # Visible since some time after `after`. (Who was before then was sent before then.)
            return self._rows(
                f"""WITH m AS MATERIALIZED (
                        SELECT * FROM tf.message m
                        WHERE m.queue = $1::int8 AND {AT_LEVEL[level]}
                          AND m.visible_at <= $2::float8 AND m.visible_at > $3::float8 {also}
                        ORDER BY m.visible_at, m.place LIMIT {limit} {_HAD})
                    SELECT {COLUMNS} FROM m {WITH_PAYLOAD} ORDER BY m.visible_at, m.place""",
                (queue.id, now, after),
            )

        return without_old(queue, now, look, self._removal.expire)

    def _rows(self, sql: str, values: Sequence[object]) -> list[Row]:
        return [Row._make(found) for found in self._session.ask(sql, values)]

    def due_in_order(
        self, queue: QueueRow, now: float, limit: int, without_lapsed: bool = False
    ) -> list[Row]:
        """The rows of a FIFO queue, perhaps without groups whose first lease lapsed."""
        also = _FRESH_LANE if without_lapsed else ""

        def look(after: float) -> list[Row]:
            return self._due_in_lanes(queue.id, now, limit, after, also)

        return without_old(queue, now, look, self._removal.expire)

    def _due_in_lanes(
        self, queue: int, now: float, limit: int, after: float, also: str
    ) -> list[Row]:
        """Of each group whose first message is visible, all up to its first hidden one; without
        those that were sent before `after`."""
        lanes = self._session.ask(
            f"""SELECT l.name FROM tf.lane l WHERE l.queue = $1::int8 AND l.ready_at <= $2::float8
                  AND ($3::float8 = '-infinity' OR (
                       SELECT TRUE FROM tf.message m WHERE m.queue = $1::int8 AND m.lane = l.name
                          AND m.sent_at > $3::float8 LIMIT 1))
                {also} ORDER BY l.ready_at, l.name LIMIT {limit} FOR UPDATE OF l SKIP LOCKED""",
            (queue, now, after),
        )
        if not lanes:
            return []
        rows = self._session.ask(
            f"""SELECT u.ord, {COLUMNS} FROM unnest($1::text[]) WITH ORDINALITY u (name, ord)
                CROSS JOIN LATERAL (
                    SELECT * FROM tf.message x WHERE x.queue = $2::int8 AND x.lane = u.name
                      AND x.sent_at > $3::float8 ORDER BY x.place LIMIT {limit}) m
                {WITH_PAYLOAD} ORDER BY u.ord, m.place""",
            ([name for (name,) in lanes], queue, after),
        )
        found: list[Row] = []
        ended = 0
        for lane, *columns in rows:
            row = Row._make(columns)
            if row.visible_at > now:
                ended = lane  # the others of its group come after it
            if lane != ended and len(found) < limit:
                found.append(row)
        return found

    def next_due(self, queue: QueueRow, now: float) -> float | None:
        sql = _NEXT_LANE if queue.fifo else _NEXT_DUE

        def look() -> float | None:
            (found,) = self._session.first(sql, (queue.id, now))
            return None if found is None else float(found)

        return look() if now == NEVER else self._watermarks.next_due(queue.id, now, look)

    def count_due(self, queue: QueueRow, now: float, most: int) -> int:
        look = _DUE_LANES if queue.fifo else _ALL_DUE
        return self._count(f"({look} LIMIT $3::int8)", (queue.id, now, most))

    def _count(self, rows: str, values: Sequence[object]) -> int:
        found: int = self._session.first(f"SELECT count(*) FROM {rows} x", values)[0]
        return found

    def due_fairly(
        self,
        level: int | None,
        queue: int,
        now: float,
        limit: int,
        noisy: Sequence[str],
        without_lapsed: bool = False,
    ) -> list[Row]:
        """The rows of one level, those of noisy groups after the others."""
        also = f"AND {AT_LEVEL[level]}" + (f" AND {BESIDE}" if without_lapsed else "")
        quiet = self._due_of_others(queue, now, limit, noisy, also)
        for tenant in noisy:
            if len(quiet) >= limit:
                break
            chosen = self._session.ask(
                f"""SELECT m.visible_at, m.place, m.seq FROM tf.message m
                    WHERE m.queue = $1::int8 AND m.tenant = $2 AND m.visible_at <= $3::float8 {also}
                    ORDER BY m.visible_at, m.place LIMIT {limit - len(quiet)}""",
                (queue, tenant, now),
            )
            quiet += self.by_number([seq for _, _, seq in chosen], now)
        return quiet

    def _due_of_others(
        self, queue: int, now: float, limit: int, noisy: Collection[str], also: str
    ) -> list[Row]:
        """The earliest rows of quiet groups. Goes from group to group in the index, so that a
        noisy backlog costs nothing."""
        grouped = self._session.ask(
            _QUIET.format(also=also, limit=limit), (queue, now, sorted(noisy))
        )
        without_group = self._session.ask(
            f"""SELECT m.visible_at, m.place, m.seq FROM tf.message m
                WHERE m.queue = $1::int8 AND m.visible_at <= $2::float8 AND m.tenant IS NULL {also}
                ORDER BY m.visible_at, m.place LIMIT {limit}""",
            (queue, now),
        )
        earliest = sorted([*grouped, *without_group])[:limit]
        return self.by_number([seq for _, _, seq in earliest], now)

    def by_number(self, seqs: Sequence[int], due_at: float | None = None) -> list[Row]:
        """Rows in that order; to be had, if they are due then, or as they are."""
        had = "" if due_at is None else _HAD
        found = self._rows(
            f"""WITH m AS MATERIALIZED (
                    SELECT * FROM tf.message m WHERE m.seq = ANY ($1::int8[])
                      AND ($2::float8 IS NULL OR m.visible_at <= $2::float8) {had})
                SELECT {COLUMNS} FROM m {WITH_PAYLOAD}""",
            (list(seqs), due_at),
        )
        places = {seq: at for at, seq in enumerate(seqs)}
        return sorted(found, key=lambda row: places[row.seq])

    def tenants_in_flight(self, queue: int, now: float) -> dict[str, int]:
        return dict(
            self._session.ask(
                f"""SELECT tenant, count(*) FROM ({_IN_FLIGHT}) x
                    WHERE tenant IS NOT NULL GROUP BY tenant""",
                (queue, now),
            )
        )

    def count_in_flight(self, queue: int, now: float, most: int) -> int:
        return self._count(f"({_IN_FLIGHT} LIMIT $3::int8)", (queue, now, most))

    def select(self, queue: int, ids: Collection[str], limit: int) -> list[Row]:
        # By id, or as they were stored: each has its index.
        chosen = _OF_THESE if ids else "tf.payload p WHERE p.queue::int8 = $1::int8"
        return self._rows(
            f"""SELECT {COLUMNS} FROM (SELECT p.* FROM {chosen} ORDER BY p.place LIMIT {limit}) p
                CROSS JOIN LATERAL (SELECT * FROM tf.message x WHERE x.seq = p.seq LIMIT 1) m
                LEFT JOIN LATERAL (
                    SELECT * FROM tf.shared_body y WHERE y.number = p.shared LIMIT 1) s ON true
                ORDER BY p.place""",
            (queue, sorted(set(ids))) if ids else (queue,),
        )
